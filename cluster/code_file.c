#include "cluster/code_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void ns_code_file_write(int code)
{
    const char *path = getenv(NS_CODE_FILE_VARIABLE);
    char text[16];
    if (path == NULL || *path == '\0') return;
    int n = snprintf(text, sizeof text, "%d\n", code), fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return;
    if (write(fd, text, (size_t)n) != n) unlink(path);
    close(fd);
}
