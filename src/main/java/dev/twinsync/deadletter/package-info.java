/** Keeps what could not be handled, with its cause, until it is retried, mended, discarded or superseded. */
package dev.twinsync.deadletter;
