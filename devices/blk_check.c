/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a block device refuses to do (virtio 1.2 §5.2.6.2): a status byte that is not OK.
 *
 * Input from the guest: request headers, which were copied before, and ranges, which are
 * copied here, once.
 */
#include <endian.h>

#include "devices/blk_priv.h"
#include "devices/iov.h"

_Static_assert(BLK_HEADER == 16, "virtio 1.2 §5.2.6");
_Static_assert(sizeof(struct virtio_blk_discard_write_zeroes) == 16, "virtio 1.2 §5.2.6");

static bool in_capacity(const struct virtio_blk *b, uint64_t sector, uint64_t sectors)
{
	uint64_t capacity = b->disk->bytes / DISK_SECTOR;

	return sector <= capacity && sectors <= capacity - sector;
}

static uint8_t check_data(const struct virtio_blk *b, uint64_t sector, uint32_t len)
{
	uint32_t align = b->disk->direct ? b->disk->direct_align : DISK_SECTOR;

	if (len % DISK_SECTOR || !in_capacity(b, sector, len / DISK_SECTOR))
		return VIRTIO_BLK_S_IOERR;
	if (len % align || sector * DISK_SECTOR % align)
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

static uint8_t supported(bool is)
{
	return is ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_UNSUPP;
}

uint8_t blk_check(const struct virtio_blk *b, const struct blk_queue *bq)
{
	switch (bq->type) {
	case VIRTIO_BLK_T_IN:
		return check_data(b, bq->sector, blk_data_len(bq));
	case VIRTIO_BLK_T_OUT:
		if (b->disk->read_only)
			return VIRTIO_BLK_S_IOERR;
		return check_data(b, bq->sector, blk_data_len(bq));
	case VIRTIO_BLK_T_FLUSH:
		/* A driver that was offered it may use it without having accepted it. */
		return supported(b->dev.offered >> VIRTIO_BLK_F_FLUSH & 1);
	case VIRTIO_BLK_T_GET_ID:
		return blk_data_len(bq) >= VIRTIO_BLK_ID_BYTES ? VIRTIO_BLK_S_OK :
								 VIRTIO_BLK_S_IOERR;
	case VIRTIO_BLK_T_DISCARD:
		return supported(virtio_has(&b->dev, VIRTIO_BLK_F_DISCARD));
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return supported(virtio_has(&b->dev, VIRTIO_BLK_F_WRITE_ZEROES));
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

static uint8_t check_range(const struct virtio_blk *b, uint32_t type,
			   const struct virtio_blk_discard_write_zeroes *range)
{
	bool zeroes = type == VIRTIO_BLK_T_WRITE_ZEROES;
	uint32_t known = zeroes ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;
	uint32_t most = zeroes ? BLK_ZEROES_SECTORS_MAX : BLK_DISCARD_SECTORS_MAX;
	uint32_t sectors = le32toh(range->num_sectors);

	if (le32toh(range->flags) & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	if (sectors > most || !in_capacity(b, le64toh(range->sector), sectors))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

uint8_t blk_set_ranges(struct blk_req *r, const struct blk_queue *bq)
{
	uint32_t len = blk_data_len(bq);
	uint8_t status = VIRTIO_BLK_S_OK;
	unsigned n = len / (unsigned)sizeof(r->ranges[0]);

	if (!n || n > BLK_RANGES_MAX || len % sizeof(r->ranges[0]))
		return VIRTIO_BLK_S_IOERR;
	iov_read(bq->chain.iov, bq->chain.n_out, BLK_HEADER, r->ranges, len);
	for (unsigned i = 0; i < n && status == VIRTIO_BLK_S_OK; i++)
		status = check_range(r->blk, r->type, &r->ranges[i]);
	r->n_ranges = n;
	return status;
}
