/** The first load: reads all keys of the systems side by side, and whatever a gap in capture may have missed. */
package dev.twinsync.backfill;
