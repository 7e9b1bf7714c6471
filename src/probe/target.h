/* target.h - what a check asks, in the words of libcurl. */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

struct target {
    char *url;
    char *unix_path; /* NULL: by the URL's host */
    bool abstract;   /* unix_path is the name of an abstract socket */
    bool connects;   /* it is enough that there is a connection */
};

/* "http://…", "https://…", "http://unix:/PATH:/URI". 0, -EINVAL or -ENOMEM. */
int target_from_url(const char *text, struct target *ret);
/* As of base/address.h. Likewise. */
int target_from_address(const char *text, struct target *ret);
void target_clear(struct target *target);
