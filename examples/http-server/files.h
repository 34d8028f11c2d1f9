/*
 * files.h - the files below one directory, as responses to GET and HEAD.
 */
#ifndef FILES_H
#define FILES_H

#include "conn.h"
#include "http.h"

/* A descriptor for files_respond, or -errno. */
int files_open_root(const char *path);

/* Writes the response. -errno: the connection cannot be used any more. */
int files_respond(struct conn *conn, const struct request *request, int root);

#endif
