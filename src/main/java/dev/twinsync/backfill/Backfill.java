package dev.twinsync.backfill;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Instant;
import java.util.List;

/**
 * One run over all keys of an entity.
 *
 * @param systems whose keys are read
 * @param dryRun nothing is published: what would change is counted and listed
 * @param rate records a second at most, 0 for no bound
 * @param state queued, running, done, cancelled or failed
 * @param after the last key that is done with, empty before the first
 * @param total the keys that the database has, null before they were counted; an API's own keys come on top
 * @param counts {@code {equal, differs, only_<system>, unusable, waiting, same_person, at: {<system>: {made, changed,
 *     fields: {name: n}}}}}
 * @param waitsFor why it does not go on now, or null
 * @param workedMs milliseconds that it has run, waits and restarts of the service left out
 */
public record Backfill(
        long id,
        String entity,
        List<String> systems,
        boolean dryRun,
        int rate,
        String reason,
        String state,
        String after,
        long done,
        Long total,
        ObjectNode counts,
        String waitsFor,
        Instant queuedAt,
        Instant startedAt,
        long workedMs,
        Instant endedAt) {

    /** Records a second so far, 0 before the first. */
    public long perSecond() {
        return workedMs == 0 ? 0 : done * 1000 / workedMs;
    }

    /** Seconds that the rest takes at the rate so far, or null where that can't be said. */
    public Long secondsLeft() {
        return total == null || perSecond() == 0 || endedAt != null ? null : Math.max(0, total - done) / perSecond();
    }
}
