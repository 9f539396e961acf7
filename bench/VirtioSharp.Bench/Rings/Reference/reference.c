/*
 * The other implementation: both ends of both virtqueue formats in C, written from the VIRTIO specification (section
 * numbers are its), with the checks that src/VirtioSharp.Core makes. bench/rings measures C# against it, and tests let
 * either language drive the other's rings. Little-endian hosts only; IN_ORDER is not here.
 *
 * Functions called ref_* are exported. Run functions do thousands of chains per call and return the number done, or a
 * negative error.
 */
#include "measure.h"
#include "talk.h"
