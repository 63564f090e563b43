package dev.twinsync.metrics;

import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.Timer;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.springframework.stereotype.Component;

/** The counters and timers of the data path; their labels are entities, systems, rules and flows, never ids. */
@Component
public class SyncMetrics {

    private final MeterRegistry registry;
    private final Map<String, Timer> timers = new ConcurrentHashMap<>();

    SyncMetrics(MeterRegistry registry) {
        this.registry = registry;
    }

    /** What became of an observation: merged, unchanged, stale or doubted. */
    public void observed(String entity, String system, String outcome) {
        Tags tags = Tags.of("entity", entity, "system", system);
        registry.counter("sync_observed", tags).increment();
        registry.counter("sync_" + outcome, tags).increment();
    }

    /** From when an observation was made to when it is merged. */
    public void merged(String entity, String system, Duration duration) {
        Timer.builder("sync_observe_to_merge")
                .description("from when an observation was made to when it is merged")
                .tags("entity", entity, "system", system)
                .register(registry)
                .record(duration.isNegative() ? Duration.ZERO : duration);
    }

    public void conflicted(String entity, String rule) {
        registry.counter("sync_conflicted", "entity", entity, "rule", rule).increment();
    }

    /** @param count records whose delivery was {@code outcome}: delivered, refused, doubted_at_delivery, waiting */
    public void delivery(String outcome, String entity, String system, int count) {
        if (count > 0) {
            registry.counter("sync_" + outcome, "entity", entity, "system", system)
                    .increment(count);
        }
    }

    /** From the source's commit to the target's acknowledgement. */
    public void endToEnd(String entity, String system, Duration duration) {
        // found once: to look a timer up by its builder costs more than the rest of a record's delivery report
        timers.computeIfAbsent(entity + '/' + system, key -> timer(entity, system))
                .record(duration.isNegative() ? Duration.ZERO : duration);
    }

    private Timer timer(String entity, String system) {
        return Timer.builder("sync_end_to_end")
                .description("from the source's commit to the target's acknowledgement")
                .tags("entity", entity, "system", system)
                .serviceLevelObjectives(
                        Duration.ofMillis(100),
                        Duration.ofMillis(250),
                        Duration.ofMillis(500),
                        Duration.ofSeconds(1),
                        Duration.ofSeconds(2),
                        Duration.ofSeconds(5),
                        Duration.ofSeconds(30),
                        Duration.ofMinutes(5))
                .register(registry);
    }

    /**
     * A letter that is new; what fails again is no new letter.
     *
     * @param error a class or a code: text that names a record is no label
     */
    public void deadLettered(String entity, String system, String route, String error) {
        registry.counter("sync_dead_letters", "entity", entity, "system", system, "route", route, "error", error)
                .increment();
    }
}
