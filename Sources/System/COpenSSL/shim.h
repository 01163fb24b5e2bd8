#pragma once
#include <openssl/ssl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

/* ---- TLS: what OpenSSL 3.0 has as function-like macros or as constants that Swift does not import ---- */

/* Options of every context: no compression, no renegotiation (RFC 5746 attacks, and work on the peer's demand). */
static inline void cossl_set_safe_options(SSL_CTX *context) {
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_SSLv3);
}
/* The server's order of ciphers decides, but a client that prefers ChaCha20 has no AES hardware. */
static inline void cossl_prefer_server_ciphers(SSL_CTX *context) {
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
}
static inline void cossl_disable_tickets(SSL_CTX *context) { SSL_CTX_set_options(context, SSL_OP_NO_TICKET); }
/* Peers without RFC 5746 are let be. */
static inline void cossl_allow_legacy_server(SSL *ssl) { SSL_set_options(ssl, SSL_OP_LEGACY_SERVER_CONNECT); }
/* An idle connection holds no buffers; chains are made when a context is, not searched for in each handshake. */
static inline void cossl_set_modes(SSL_CTX *context) {
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
}
static inline int cossl_set_min_protocol(SSL_CTX *context, int version) {
    return (int)SSL_CTX_set_min_proto_version(context, version);
}
static inline int cossl_set_max_protocol(SSL_CTX *context, int version) {
    return (int)SSL_CTX_set_max_proto_version(context, version);
}
static inline int cossl_set_groups(SSL_CTX *context, const char *list) {
    return (int)SSL_CTX_set1_groups_list(context, list);
}
static inline int cossl_set_ticket_keys(SSL_CTX *context, const void *keys, long count) {
    return (int)SSL_CTX_set_tlsext_ticket_keys(context, (void *)keys, count);
}
static inline void cossl_set_session_cache(SSL_CTX *context, long mode, long size) {
    SSL_CTX_set_session_cache_mode(context, mode);
    SSL_CTX_sess_set_cache_size(context, size);
}
static inline void cossl_set_server_name_callback(SSL_CTX *context, int (*callback)(SSL *, int *, void *)) {
    SSL_CTX_set_tlsext_servername_callback(context, callback);
}
static inline int cossl_set_server_name(SSL *ssl, const char *name) {
    return (int)SSL_set_tlsext_host_name(ssl, name);
}
static inline int cossl_add_chain_certificate(SSL_CTX *context, X509 *certificate) {
    return (int)SSL_CTX_add1_chain_cert(context, certificate);
}
static inline void cossl_set_dh_auto(SSL_CTX *context) { SSL_CTX_set_dh_auto(context, 1); }
static inline void cossl_share_store(SSL_CTX *context, SSL_CTX *other) {
    SSL_CTX_set1_cert_store(context, SSL_CTX_get_cert_store(other));
}
/* RFC 7627. */
static inline int cossl_has_extended_master_secret(SSL *ssl) { return SSL_get_extms_support(ssl) == 1; }
static inline void cossl_clear_retry(BIO *bio) { BIO_clear_retry_flags(bio); }
static inline void cossl_set_retry_read(BIO *bio) { BIO_set_retry_read(bio); }
/* RFC 4514 notation, letters outside ASCII left as UTF-8. */
static inline unsigned long cossl_name_flags(void) { return XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB; }
