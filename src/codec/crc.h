/* crc: the cyclic checksums that S3 keeps of objects. Any thread. */
#ifndef INLET_CODEC_CRC_H
#define INLET_CODEC_CRC_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc_32(const void *p, size_t n);      /* IEEE 802.3, zlib */
uint32_t crc_32c(const void *p, size_t n);     /* Castagnoli, RFC 3720 */
uint64_t crc_64_nvme(const void *p, size_t n); /* of the NVM Express specification, 5.2.1.3.4 */

#endif
