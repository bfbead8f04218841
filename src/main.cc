#include "cli/app.h"

int main(int argc, char** argv) { return spillway::cli::run(argc, argv); }
