package dev.twinsync.delivery;

import dev.twinsync.deadletter.DeadLetters;
import dev.twinsync.merge.Merge;
import dev.twinsync.merge.Observation;
import dev.twinsync.metrics.SyncMetrics;
import dev.twinsync.record.Schemas;
import dev.twinsync.state.MergeReports;
import dev.twinsync.state.Observations;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import org.apache.camel.Exchange;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.stereotype.Component;

/** Tells metrics and dead letters what the merge found. */
@Component
class Reports implements MergeReports {

    private static final Logger EVENTS = LoggerFactory.getLogger("dev.twinsync.events");

    private final SyncMetrics metrics;
    private final DeadLetters deadLetters;
    private final Schemas schemas;

    Reports(SyncMetrics metrics, DeadLetters deadLetters, Schemas schemas) {
        this.metrics = metrics;
        this.deadLetters = deadLetters;
        this.schemas = schemas;
    }

    @Override
    public void merged(String entity, Observation observation, Merge.Result result) {
        counted(entity, observation, result.outcome());
        result.conflicts().forEach(c -> {
            String rule = c.rule().name().toLowerCase(Locale.ROOT);
            metrics.conflicted(entity, rule);
            EVENTS.info(
                    "conflict entity={} id={} system={} field={} rule={} winner={} version={} trace={}",
                    entity,
                    observation.id(),
                    c.system(),
                    c.path(),
                    rule,
                    c.winner(),
                    result.golden().version(),
                    Observations.traceId(observation.traceparent()));
        });
    }

    @Override
    public void echo(String entity, Observation reading) {
        counted(entity, reading, Merge.Outcome.UNCHANGED);
    }

    private void counted(String entity, Observation o, Merge.Outcome outcome) {
        metrics.observed(entity, o.system(), outcome.name().toLowerCase(Locale.ROOT));
        metrics.merged(entity, o.system(), Duration.between(o.observedAt(), Instant.now()));
    }

    @Override
    public void poison(String entity, Exchange record, Exception cause) {
        deadLetters.send(List.of(
                deadLetters.ofRecord(record, "merge-" + schemas.of(entity).plural(), cause)));
    }

    @Override
    public void fields(String entity, List<Fields> fields) {
        fields.forEach(f -> deadLetters.fields(entity, f.observation(), f.problems(), f.before()));
    }
}
