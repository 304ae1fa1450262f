/* ident.h - which model file this is, told without reading all of it.
 *
 * Together the two say that a file's weights are those that were seen before. What escapes is a
 * change between the samples by a program that also turned back the times of the file, which
 * takes meddling with the clock or the disk.
 *
 * Threads  any
 * Uses     fmt/gguf.h
 */
#ifndef HEARTH_MODEL_IDENT_H
#define HEARTH_MODEL_IDENT_H

#include "fmt/gguf.h"

/* A digest of each part's stamp (inode, size, last change of its bytes and of itself): another
 * for a copy of the file. */
uint64_t ident_stamp(const struct gguf *g);

/* A digest of all that comes before the tensors and of three samples of each tensor. */
uint64_t ident_sample(const struct gguf *g);

#endif
