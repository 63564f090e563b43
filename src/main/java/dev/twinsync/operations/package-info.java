/** What ops see and what keeps the house: health, the present state as gauges, and housekeeping. */
package dev.twinsync.operations;
