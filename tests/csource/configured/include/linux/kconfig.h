/* What kbuild puts before each file: the configuration. FolioLab's own text, as all of this tree. */
#include <generated/autoconf.h>
