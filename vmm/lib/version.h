/* SPDX-License-Identifier: Apache-2.0 */
/* The version, as --version, GET / and GET /version tell it. */
#ifndef VMM_LIB_VERSION_H
#define VMM_LIB_VERSION_H

#define XENOLITH_VERSION "0.1.0"

#endif
