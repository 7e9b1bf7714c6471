/*
 * private-names.h - included ahead of every file of libreloader by the compiler's command line.
 *
 * The library shares a few files with the master. In a static library hidden symbols are still global ones, so they
 * get a prefix here: a program may link libreloader and have functions of these plain names itself.
 */
#pragma once

#define buffer_append      reloader_private_buffer_append
#define buffer_clear       reloader_private_buffer_clear
#define buffer_commit      reloader_private_buffer_commit
#define buffer_init        reloader_private_buffer_init
#define buffer_next_frame  reloader_private_buffer_next_frame
#define buffer_reserve     reloader_private_buffer_reserve
#define buffer_send        reloader_private_buffer_send
#define buffer_send_fds    reloader_private_buffer_send_fds
#define buffer_take        reloader_private_buffer_take
#define duration_to_config reloader_private_duration_to_config
#define duration_to_text   reloader_private_duration_to_text
#define environment_add    reloader_private_environment_add
#define environment_cut    reloader_private_environment_cut
#define environment_read   reloader_private_environment_read
#define environment_unset  reloader_private_environment_unset
#define fd_close           reloader_private_fd_close
#define fd_close_received  reloader_private_fd_close_received
#define fd_read_file       reloader_private_fd_read_file
#define fd_receive         reloader_private_fd_receive
#define fd_set_nonblocking reloader_private_fd_set_nonblocking
#define parse_bool         reloader_private_parse_bool
#define parse_duration     reloader_private_parse_duration
#define parse_mode         reloader_private_parse_mode
#define parse_percent      reloader_private_parse_percent
#define parse_signal       reloader_private_parse_signal
#define parse_size         reloader_private_parse_size
#define parse_unsigned     reloader_private_parse_unsigned
#define received_close     reloader_private_received_close
#define received_is_due    reloader_private_received_is_due
#define received_read      reloader_private_received_read
#define received_take      reloader_private_received_take
#define size_to_text       reloader_private_size_to_text
#define signal_to_string   reloader_private_signal_to_string
#define notify_send        reloader_private_notify_send
