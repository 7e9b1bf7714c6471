/* group.h - the sockets of a listener with reuseport as members of their group. Nothing for other listeners. Inside net only. */
#pragma once

#include "net/listener.h"

/* A new listener, without sockets yet. */
void listener_group_begin(struct listener *listener);
/* Number n_sockets listens now. 0 or -ENOMEM. */
int listener_group_join(struct listener *listener);
/* The first member was bound as a group of its own, which chooses that one. */
void listener_group_found(struct listener *listener);
/* The kernel has nobody who chooses among its members yet: the next to join has to be deaf. */
bool listener_group_begins(const struct listener *listener);
/* That one has joined: now it has, and the last member hears. -EOPNOTSUPP with *ret_error: the kernel takes no program. */
int listener_group_hear(struct listener *listener, char **ret_error);
/* Number n_sockets (that was the last) leaves, even if a process that outlived its worker still has it open. */
void listener_group_leave(struct listener *listener);
/* This one had left, and listens again. `alone`: no other one has left unseen. */
void listener_group_return(struct listener *listener, size_t number, bool alone);
/*
 * After members left or returned: places in the group have changed, so the program has to, for the same members to be
 * chosen.
 */
void listener_group_follow(struct listener *listener);
