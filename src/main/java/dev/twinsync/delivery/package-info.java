/** Brings each system to the golden record: only what is due, only what differs, nothing over what was not seen. */
package dev.twinsync.delivery;
