package dev.twinsync.delivery;

import dev.twinsync.flow.FailurePolicy;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Tells a record that fails alone from an endpoint that is away. While others pass, the one that fails waits by itself
 * and is a dead letter after so many tries; where nothing passes, nobody is to blame but the endpoint.
 */
final class LoneFailures {

    private static final Duration LONGEST = Duration.ofSeconds(30);

    private final FailurePolicy policy;

    private record Count(int failures, Instant last) {}

    /** Stream and id to how often it failed; what passes is forgotten. */
    private final Map<String, Count> counts = new ConcurrentHashMap<>();

    /** When anything of a stream last got an answer of its own. */
    private final Map<String, Instant> passed = new ConcurrentHashMap<>();

    LoneFailures(FailurePolicy policy) {
        this.policy = policy;
    }

    /**
     * What became of a set.
     *
     * @param stream what is away or not as a whole: an entity at a system
     * @return the results, a last failure of a lone record as a refusal
     * @throws IllegalStateException where nothing has passed since these failed before: the endpoint is away
     */
    List<Target.Result> judged(String stream, List<Target.Item> items, List<Target.Result> results) {
        Instant now = Instant.now();
        List<Target.Result> judged = new ArrayList<>(results);
        boolean some = results.stream().anyMatch(result -> !(result instanceof Target.Result.Failed));
        if (some) {
            passed.put(stream, now);
        }
        Throwable away = null;
        for (int i = 0; i < items.size(); i++) {
            String key = stream + '/' + items.get(i).id();
            if (!(results.get(i) instanceof Target.Result.Failed lone)) {
                counts.remove(key);
                continue;
            }
            Count count = counts.get(key);
            Instant others = passed.getOrDefault(stream, Instant.EPOCH);
            if (!some && (count == null || !others.isAfter(count.last()))) {
                counts.putIfAbsent(key, new Count(0, now));
                away = lone.cause();
                continue;
            }
            int failures = count == null ? 1 : count.failures() + 1;
            if (failures >= policy.loneFailures()) {
                counts.remove(key);
                judged.set(i, new Target.Result.Refused(lone.cause()));
            } else {
                counts.put(key, new Count(failures, now));
            }
        }
        if (away != null) {
            throw new IllegalStateException(away);
        }
        return judged;
    }

    /** How long the record waits before it is tried again. */
    Duration pause(String stream, String id) {
        Count count = counts.get(stream + '/' + id);
        Duration pause = Duration.ofSeconds(1L << Math.min(5, count == null ? 0 : count.failures()));
        return pause.compareTo(LONGEST) > 0 ? LONGEST : pause;
    }
}
