/* config: from options and the config file to the plain structs that the other rooms take. */
#ifndef INLET_CLI_CONFIG_H
#define INLET_CLI_CONFIG_H

#include "base/err.h"
#include "cli/options.h"
#include "pipeline/pipeline.h"

#define INLET_VERSION "0.1.0"

struct config {
    struct options options;
    /* The `tables:` of the config file, in its order; strings owned here. */
    struct pipeline_table_config *tables;
    size_t n_tables;
    uint8_t *hash_key;
    size_t hash_key_n;
};

void config_init(struct config *c);
void config_fini(struct config *c);
/* Environment, then the file that --config or INLET_CONFIG names, if any. The command line's
 * options are set before (they stay stronger). ERR_INVALID names what is wrong and where. */
int config_load(struct config *c, char *const *environment, struct err *e);
/* What pipeline_run takes; borrows from c. Files, stop and progress are the caller's to set. */
int config_pipeline(struct config *c, struct pipeline_config *out, struct err *e);
/* The lake's directory or s3:// URI, and the catalog's URI (heap). */
/* *lake is NULL where none is named, and the catalog places its tables itself. */
int config_lake(const struct config *c, const char **lake, char **catalog, struct err *e);
/* The tables' namespace: what the catalog's URI names, else --namespace. Borrowed. */
const char *config_namespace(const struct config *c);
/* What catalog_open takes; borrows from c and `uri`. */
struct catalog_options config_catalog(const struct config *c, const char *uri);
/* How the lake's store is reached; borrows from c. */
int config_store(const struct config *c, struct store_options *out, struct err *e);
/* "kinesis://NAME" to NAME, borrowed; NULL and ERR_INVALID for anything else. */
const char *config_stream_name(const char *uri, struct err *e);
/* The effective settings as YAML (with their origin as comments) or JSON. */
void config_show(const struct config *c, bool json, struct buf *out);

#endif
