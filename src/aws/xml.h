/* xml: the answers of S3 and STS, which are small trees of named texts. Wraps expat. */
#ifndef INLET_AWS_XML_H
#define INLET_AWS_XML_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define XML_DEPTH_MAX 16
#define XML_PATH_MAX 512

/* Called at the end of each element: `path` from the root ("ListBucketResult/Contents/Key"), without
 * namespaces, and the text directly inside it. */
typedef void xml_end_fn(void *ctx, const char *path, const char *text);
/* ERR_INVALID where it is not well-formed XML (then the callback has seen its beginning), or has a document
 * type, or is nested too deep. */
int xml_walk(const void *p, size_t n, xml_end_fn *end, void *ctx, struct err *e);
/* The text of the first element with this path (heap), or NULL. A path that begins with a slash is
 * compared with the end of the element's. */
char *xml_text(const void *p, size_t n, const char *path);
/* Appends text, escaped as content. */
void xml_put(struct buf *out, const char *text);

#endif
