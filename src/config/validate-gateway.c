/* Who may reach the gateway, and who may then do something. */
#include "config/validate.h"

#include "base/strv.h"
#include "config/values.h"

#include <arpa/inet.h>

/* Nobody from another machine comes there. */
static bool is_local(const struct address *address)
{
    switch (address->socket.generic.sa_family) {
    case AF_INET:
        return ntohl(address->socket.in.sin_addr.s_addr) >> 24 == 127;
    case AF_INET6:
        return IN6_IS_ADDR_LOOPBACK(&address->socket.in6.sin6_addr);
    default:
        return true;
    }
}

static void fail(struct reader *reader, const struct tree_node *section, const char *key,
                 const char *text)
{
    const struct tree_node *node = tree_get(section, key);
    char path[50];
    (void)snprintf(path, sizeof(path), "gateway.%s", key);
    errors_add(reader->errors, node ? &node->place : &section->place, path, "%s", text);
}

void validate_gateway(struct reader *reader)
{
    const struct config_gateway *gateway = &reader->config->gateway;
    const struct tree_node *section = tree_get(reader->tree->root, "gateway");
    bool has_password = gateway->password || gateway->password_file;
    if (!gateway->is_on || !section)
        return;
    if (gateway->password && gateway->password_file)
        fail(reader, section, "password",
             "there is a password_file as well: leave out one of them");
    if (gateway->username && !has_password)
        fail(reader, section, "username", "needs a password, or better a password_file");
    if (!gateway->username && has_password)
        fail(reader, section, gateway->password ? "password" : "password_file", "needs a username");
    if (!gateway->username && !has_password && !is_local(&gateway->address) && gateway->public == 0)
        fail(reader, section, "listen",
             "whoever reaches this address could do anything: set username and password_file, "
             "listen on 127.0.0.1, [::1] or unix:/path, or name the `public` paths alone");
    const char *path = address_unix_path(&gateway->address);
    if (path && string_equal(path, reader->config->control.socket))
        fail(reader, section, "listen", "this is the path of the control socket");
}
