/*
 * transfers.h - libcurl's transfers over an sd-event loop.
 *
 * libcurl says which sockets it waits for and until when; what happens there is told it, and what has come to its end is told the owner.
 */
#pragma once

#include "base/macros.h"

#include <curl/curl.h>
#include <systemd/sd-event.h>

struct transfers;

/* `ended`: the transfer is over and has been removed; `userdata` is its CURLOPT_PRIVATE. */
int transfers_new(sd_event *event, void (*ended)(void *userdata, CURL *easy, CURLcode result),
                  struct transfers **ret);
/* None is under way any more. */
struct transfers *transfers_free(struct transfers *transfers);
DEFINE_FREEP(struct transfers *, transfers_free)

int transfers_add(struct transfers *transfers, CURL *easy);
/* Before its end. */
void transfers_remove(struct transfers *transfers, CURL *easy);
