#include "kernels/gradient.h"

double ns_scale_within(double max, int b)
{
    if (max == 0.0) return 1.0;
    int x =
        (int)(ns_bits(max) >> 52) - 1023; /* 2^x <= max < 2^(x+1); a subnormal max ends at the cap below */
    int e = b - 1 - x;
    if (e > 1000) return ns_power_of_two(1000);
    double scale = ns_power_of_two(e);
    return max * scale <= ns_power_of_two(b) - 1.0 ? scale : 0.5 * scale;
}
