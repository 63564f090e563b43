/** The HTTP API: what backends push and read, and what ops ask and do. */
package dev.twinsync.api;
