/** The console: what operators see and do, as server-rendered pages over the same services as the API. */
package dev.twinsync.console;
