package dev.twinsync.state;

import java.time.Duration;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.springframework.stereotype.Component;

/**
 * The records that this instance is writing to a system at this moment. A poll sees them as soon as the system has
 * them, and a moment before their answer is stored; who waits for that moment sees an echo for what it is.
 */
@Component
public class UnderWay {

    private final Set<String> keys = new HashSet<>();

    /** Runs a write and the storing of its answers. */
    public void during(String system, String entity, Collection<String> ids, Runnable write) {
        List<String> mine = keys(system, entity, ids);
        synchronized (keys) {
            keys.addAll(mine);
        }
        try {
            write.run();
        } finally {
            synchronized (keys) {
                mine.forEach(keys::remove);
                keys.notifyAll();
            }
        }
    }

    /** Those of the records that are under way. */
    Set<String> of(String system, String entity, Collection<String> ids) {
        synchronized (keys) {
            return ids.stream()
                    .filter(id -> keys.contains(key(system, entity, id)))
                    .collect(Collectors.toSet());
        }
    }

    /** Waits until none of the records is under way, or for so long. */
    void awaitNone(String system, String entity, Collection<String> ids, Duration longest) {
        List<String> asked = keys(system, entity, ids);
        long until = System.nanoTime() + longest.toNanos();
        synchronized (keys) {
            while (asked.stream().anyMatch(keys::contains)) {
                long left = (until - System.nanoTime()) / 1_000_000;
                if (left <= 0) {
                    return;
                }
                try {
                    keys.wait(left);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                    return;
                }
            }
        }
    }

    private static List<String> keys(String system, String entity, Collection<String> ids) {
        return ids.stream().map(id -> key(system, entity, id)).toList();
    }

    private static String key(String system, String entity, String id) {
        return system + '/' + entity + '/' + id;
    }
}
