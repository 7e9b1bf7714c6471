#include "program/spread.h"

#include "base/macros.h"

uint64_t spread_point(uint64_t spread_usec, unsigned slot, unsigned slots, double offset)
{
    double point = (double)spread_usec * (((double)slot + offset) / (double)slots);
    return MIN((uint64_t)point, spread_usec);
}

uint64_t spread_wait(uint64_t point_usec, uint64_t began_usec, uint64_t now_usec)
{
    uint64_t since = now_usec - MIN(began_usec, now_usec);
    return point_usec - MIN(since, point_usec);
}

uint64_t spread_own(uint64_t spread_usec, unsigned together, unsigned slots)
{
    if (together >= slots)
        return spread_usec;
    return (uint64_t)((double)spread_usec * (double)together / (double)slots);
}
