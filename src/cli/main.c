/* main: dispatches, nothing else, so that everything else can be linked into tests. */
#include <signal.h>
#include <unistd.h>

#include "cli/commands.h"

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* a peer or a pager that goes away is an error of write */
    return commands_main(argc, argv, environ);
}
