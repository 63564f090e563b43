/** What ops see: metrics, health and housekeeping. */
package dev.twinsync.operations;
