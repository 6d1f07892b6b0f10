# Programs that speak the API.
