/* The gamma distribution with scale 1, as the intervals of estimate.c need it. Pure; any thread. */
#pragma once

/* P(X <= x) for X ~ Gamma(shape), the regularised lower incomplete gamma function; shape > 0. */
double gamma_cdf(double shape, double x);
/* The x with gamma_cdf(shape, x) = p, for 0 < p < 1; 0 where it is too small for a double. */
double gamma_quantile(double shape, double p);
