/* commands: the table of commands that main dispatches on. A command gets its config loaded and its
 * plain arguments, and answers with the exit code: 0 done, 1 failed, 2 usage, 3 (--strict) done,
 * but some input went to dead letters. stdout is data, stderr is talk. */
#ifndef INLET_CLI_COMMANDS_H
#define INLET_CLI_COMMANDS_H

#include "cli/config.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_DEAD_LETTERS = 3 };

struct command {
    const char *name, *args, *summary, *example;
    unsigned bit;
    int min_args, max_args;
    int (*main)(struct config *c, int n_args, char **args);
};

const struct command *commands_table(size_t *n);
/* Runs argv; the whole program but for the process's end. */
int commands_main(int argc, char **argv, char *const *environment);
/* Says "inlet: <text>" on stderr and gives the exit code of that kind of error. */
int commands_fail(const struct err *e);
/* Writes to stdout: EXIT_DONE, or EXIT_FAILED said. Finishes out. */
int commands_print(struct buf *out);

int run_command(struct config *c, int n_args, char **args);
int load_command(struct config *c, int n_args, char **args);
int init_command(struct config *c, int n_args, char **args);
int doctor_command(struct config *c, int n_args, char **args);
int status_command(struct config *c, int n_args, char **args);
int options_command(struct config *c, int n_args, char **args);
int verify_command(struct config *c, int n_args, char **args);
int replay_command(struct config *c, int n_args, char **args);
int lambda_command(struct config *c, int n_args, char **args);
int gen_command(struct config *c, int n_args, char **args);
int tables_command(struct config *c, int n_args, char **args);
int schema_command(struct config *c, int n_args, char **args);
int views_command(struct config *c, int n_args, char **args);
int inspect_command(struct config *c, int n_args, char **args);

#endif
