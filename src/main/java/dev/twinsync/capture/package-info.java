/** Learns which records changed, reads them, and publishes what was read before a cursor moves. */
package dev.twinsync.capture;
