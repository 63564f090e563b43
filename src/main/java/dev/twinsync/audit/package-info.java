/** Who did what, when, why, and what came of it. */
package dev.twinsync.audit;
