/*
 * The distribution function by its power series below the mean and by Legendre's continued fraction
 * above it (Abramowitz and Stegun 6.5.29 and 6.5.31; the fraction by Lentz's method), where each
 * converges in about sqrt(shape) steps. From NORMAL_SHAPE on the cube root of X is so nearly normal
 * (Wilson and Hilferty 1931) that the steps are not worth it. The quantile by Newton's method on
 * log x, in a bracket.
 */
#include "model/gamma.h"
#include <float.h>
#include <math.h>

#define NORMAL_SHAPE 1e6
#define MAX_STEPS    100000 /* ten times what shapes below NORMAL_SHAPE need */

/* lgamma would write the global signgam */
static double log_gamma(double x)
{
	int sign;
	return lgamma_r(x, &sign);
}

/* ln of x times the density: shape ln x - x - ln Gamma(shape). For large shapes these terms cancel,
 * hence Stirling's series around x = shape. */
static double log_density_times_x(double shape, double x)
{
	if (shape < 16)
		return shape * log(x) - x - log_gamma(shape);
	double excess = (x - shape) / shape, square = shape * shape;
	double series = (1.0 / 12 - (1.0 / 360 - 1.0 / (1260 * square)) / square) / shape;
	return shape * (log1p(excess) - excess) - series + 0.5 * log(shape / (2 * M_PI));
}

static double cdf_by_series(double shape, double x)
{
	double term = 1 / shape, sum = term;
	for (int n = 1; n < MAX_STEPS && term > sum * DBL_EPSILON; n++) {
		term *= x / (shape + n);
		sum += term;
	}
	return sum * exp(log_density_times_x(shape, x));
}

static double survival_by_fraction(double shape, double x)
{
	double b = x + 1 - shape, c = 1 / DBL_MIN, d = 1 / b, fraction = d;
	for (int n = 1; n < MAX_STEPS; n++) {
		double a = n * (shape - n);
		b += 2;
		d = a * d + b;
		d = 1 / (fabs(d) < DBL_MIN ? DBL_MIN : d);
		c = b + a / c;
		c = fabs(c) < DBL_MIN ? DBL_MIN : c;
		fraction *= c * d;
		if (fabs(c * d - 1) <= DBL_EPSILON)
			break;
	}
	return fraction * exp(log_density_times_x(shape, x));
}

double gamma_cdf(double shape, double x)
{
	if (x <= 0)
		return 0;
	if (shape >= NORMAL_SHAPE) {
		double ninth = 1 / (9 * shape);
		return 0.5 * erfc(-(cbrt(x / shape) - 1 + ninth) / sqrt(2 * ninth));
	}
	if (x < shape + 1)
		return cdf_by_series(shape, x);
	return 1 - survival_by_fraction(shape, x);
}

/* Where Newton's method begins: a normal quantile good to three digits (Hastings; Abramowitz and
 * Stegun 26.2.22), cubed back. 0 or less where the shape is too small for it. */
static double first_guess(double shape, double p)
{
	double t = sqrt(-2 * log(fmin(p, 1 - p)));
	double z = t - (2.30753 + 0.27061 * t) / (1 + t * (0.99229 + 0.04481 * t));
	double ninth = 1 / (9 * shape), root = 1 - ninth + (p < 0.5 ? -z : z) * sqrt(ninth);
	return shape * root * root * root;
}

double gamma_quantile(double shape, double p)
{
	/* P(X <= x) <= x^shape / Gamma(shape + 1), nearly with equality where x is small */
	double low = (log(p) + log_gamma(shape + 1)) / shape;
	if (low < log(DBL_MIN))
		return 0;
	double high = log(shape + 10 * sqrt(shape) + 10);
	while (gamma_cdf(shape, exp(high)) < p)
		high += 1;
	double at = log(fmax(first_guess(shape, p), DBL_MIN));
	if (!(at > low && at < high))
		at = low;
	for (int i = 0; i < 200; i++) {
		double excess = gamma_cdf(shape, exp(at)) - p;
		if (excess > 0)
			high = at;
		else
			low = at;
		double next = at - excess / exp(log_density_times_x(shape, exp(at)));
		if (fabs(next - at) <= 1e-9) /* the next step would be its square */
			return exp(next);
		at = next > low && next < high ? next : low + (high - low) / 2;
	}
	return exp(at);
}
