/* notify.h - one datagram to a notify socket as sd_notify(3) sends it. */
#pragma once

/*
 * `socket_name` is NOTIFY_SOCKET's value: "/path" or "@abstract". Never blocks: -EAGAIN if the socket is full.
 * -EAFNOSUPPORT: another kind of address; -ENAMETOOLONG; or what sendto(2) says.
 */
int notify_send(const char *socket_name, const char *text);
