package dev.twinsync.operations;

import dev.twinsync.capture.Capture;
import dev.twinsync.capture.CaptureSchemes;
import dev.twinsync.capture.Clocks;
import dev.twinsync.flow.Outages;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tags;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.function.ToDoubleFunction;
import org.apache.camel.CamelContext;
import org.springframework.boot.context.event.ApplicationReadyEvent;
import org.springframework.context.event.EventListener;
import org.springframework.stereotype.Component;

/**
 * The present state as gauges. What comes from the sync database or Kafka is the same on every instance (take the
 * maximum, never the sum) and is NaN while that can't be asked; clocks, breakers and polls are each instance's own.
 */
@Component
class Gauges {

    /** Letters of what is no record of a known entity and system. */
    private static final String OTHER = "other";

    private final MeterRegistry registry;
    private final Schemas schemas;
    private final Watches watches;
    private final Outages outages;
    private final Clocks clocks;
    private final Capture capture;
    private final CaptureSchemes schemes;
    private final Flows flows;
    private final CamelContext camel;
    private final Instant began = Instant.now();

    Gauges(
            MeterRegistry registry,
            Schemas schemas,
            Watches watches,
            Outages outages,
            Clocks clocks,
            Capture capture,
            CaptureSchemes schemes,
            Flows flows,
            CamelContext camel) {
        this.registry = registry;
        this.schemas = schemas;
        this.watches = watches;
        this.outages = outages;
        this.clocks = clocks;
        this.capture = capture;
        this.schemes = schemes;
        this.flows = flows;
        this.camel = camel;
    }

    @EventListener(ApplicationReadyEvent.class)
    void register() {
        TreeSet<String> systems = new TreeSet<>();
        for (Schema schema : schemas.all()) {
            String entity = schema.entity();
            for (String system : schema.systems()) {
                systems.add(system);
                Tags tags = Tags.of("entity", entity, "system", system);
                backlog(
                        "sync_lag_seconds",
                        "age of the oldest change that is not delivered and could be",
                        tags,
                        b -> seconds(b.lag()));
                backlog("sync_due", "records of which something is due at the system", tags, Seen.Backlog::due);
                backlog("sync_waiting", "of those, records that wait for a field", tags, Seen.Backlog::waiting);
                letters(tags, l -> l.entity().equals(entity) && l.system().equals(system));
                group("deliver-" + system + '-' + entity);
            }
            group("merge-" + entity);
        }
        letters(Tags.of("entity", OTHER, "system", OTHER), this::other);
        group("store-dead-letters");
        systems.forEach(system -> {
            breaker(system, "deliver-" + system + '-');
            gauge(
                    "sync_clock_offset_seconds",
                    "how far the system's clock is ahead of ours",
                    Tags.of("system", system),
                    () -> clocks.offsets().containsKey(system)
                            ? seconds(clocks.offsets().get(system))
                            : Double.NaN);
        });
        breaker("sync", "merge-");
        polls();
        neighbour("app-database", watches.appDatabase);
        neighbour("sync-database", watches.state);
        neighbour("kafka", watches.kafka);
        gauge("sync_flows_put_still", "flows that somebody stopped or paused", Tags.empty(), () -> flows.still()
                .size());
    }

    private void neighbour(String name, Watch<?> watch) {
        gauge(
                "sync_neighbour_up",
                "1 while the neighbour answers",
                Tags.of("neighbour", name),
                () -> watch.answer().trouble() == null ? 1 : 0);
    }

    private void breaker(String endpoint, String flows) {
        gauge(
                "sync_breaker_open",
                "1 while flows wait for the endpoint",
                Tags.of("endpoint", endpoint),
                () -> outages.outages().containsKey(flows) ? 1 : 0);
    }

    private void polls() {
        camel.getRoutes().stream()
                .map(route -> route.getRouteId())
                .filter(flow -> flow.matches("(poll|sweep|log|feed)-.*"))
                .forEach(flow -> {
                    Tags tags = Tags.of("flow", flow);
                    gauge(
                            "sync_capture_trouble",
                            "1 while the flow does not get through to its system",
                            tags,
                            () -> capture.troubles().containsKey(flow) ? 1 : 0);
                    if (flow.startsWith("sweep-")) {
                        gauge(
                                "sync_deletions_held",
                                "1 while the sweep holds back a mass deletion",
                                tags,
                                () -> state(seen -> seen.brakes().containsKey(flow) ? 1.0 : 0.0));
                    }
                    if (!flow.matches("(poll|sweep)-.*")) {
                        return;
                    }
                    gauge(
                            "sync_poll_age_seconds",
                            "since the flow's last turn got through, or since the start where none has",
                            tags,
                            () -> schemes.meant(flow)
                                    ? seconds(
                                            Duration.between(capture.turns().getOrDefault(flow, began), Instant.now()))
                                    : Double.NaN);
                    if (flow.startsWith("poll-")) {
                        gauge(
                                "sync_cursor_age_seconds",
                                "how far a cursor that is a time is behind the clock",
                                tags,
                                () -> state(seen -> seen.cursors().containsKey(flow)
                                        ? seconds(seen.cursors().get(flow))
                                        : Double.NaN));
                    }
                });
    }

    private boolean other(Seen.Letters letters) {
        return !schemas.has(letters.entity())
                || !schemas.of(letters.entity()).systems().contains(letters.system());
    }

    private void backlog(String name, String description, Tags tags, ToDoubleFunction<Seen.Backlog> value) {
        gauge(
                name,
                description,
                tags,
                () -> state(seen -> seen.backlog().stream()
                        .filter(b -> tags.equals(Tags.of("entity", b.entity(), "system", b.system())))
                        .mapToDouble(value)
                        .findFirst()
                        .orElse(Double.NaN)));
    }

    private void letters(Tags tags, java.util.function.Predicate<Seen.Letters> which) {
        gauge(
                "sync_dead_letters_open",
                "dead letters that nobody has settled",
                tags,
                () -> state(seen -> (double)
                        open(seen, which).stream().mapToLong(Seen.Letters::open).sum()));
        gauge(
                "sync_dead_letters_oldest_age_seconds",
                "since the oldest of them first failed",
                tags,
                () -> state(seen -> open(seen, which).stream()
                        .mapToDouble(l -> seconds(l.oldest()))
                        .max()
                        .orElse(0)));
    }

    private static List<Seen.Letters> open(Seen seen, java.util.function.Predicate<Seen.Letters> which) {
        return seen.letters().stream().filter(which).toList();
    }

    private void group(String group) {
        Tags tags = Tags.of("group", group);
        gauge(
                "sync_topic_lag_seconds",
                "age of the oldest record of its topic that the group has not worked",
                tags,
                () -> behind(group, b -> seconds(b.lag())));
        gauge(
                "sync_topic_behind",
                "records of its topic that the group has not worked",
                tags,
                () -> behind(group, b -> (double) b.records()));
    }

    private double behind(String group, Function<TopicLag.Behind, Double> value) {
        TopicLag.Seen seen = watches.kafka.answer().value();
        return seen == null || !seen.groups().containsKey(group)
                ? Double.NaN
                : value.apply(seen.groups().get(group));
    }

    private double state(Function<Seen, Double> value) {
        Seen seen = watches.state.answer().value();
        return seen == null ? Double.NaN : value.apply(seen);
    }

    private void gauge(String name, String description, Tags tags, Supplier<Number> value) {
        Gauge.builder(name, value)
                .description(description)
                .tags(tags)
                .strongReference(true)
                .register(registry);
    }

    private static double seconds(Duration duration) {
        return duration.toMillis() / 1000.0;
    }
}
