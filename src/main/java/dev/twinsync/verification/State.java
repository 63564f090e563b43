package dev.twinsync.verification;

import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import org.springframework.boot.actuate.health.Health;
import org.springframework.boot.actuate.health.HealthIndicator;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Component;

/**
 * What can be said now: how much of each entity was verified and when, what differs, since when, and how long changes
 * take. It never turns health down: differences are a matter for people, not for a load balancer.
 */
@Component("verificationHealthIndicator")
class State implements HealthIndicator {

    /** What is told is this old at most: it counts all records, and a scrape must cost nothing. */
    private static final Duration FRESH = Duration.ofMinutes(1);

    private static final String LAST = """
            select
              (select count(*) from golden where entity = e.entity) as records,
              r.compared, r.unverified, r.records as asked, r.compared_at,
              d.divergent, d.oldest,
              (select count(*) from due where entity = e.entity) as under_way
            from (select cast(? as text) as entity) as e
            left join lateral (
              select r.*, coalesce(r.ended_at, r.next_at) as compared_at from verification_run r where r.entity = e.entity and r.ids is null
                and r.origin not in ('undo', 'self_test') and r.state in ('done', 'waiting_for_approval', 'repairing')
              order by r.run desc limit 1) as r on true
            -- what the last whole run left, and what the sweep that is under way has found since
            cross join lateral (
              select count(distinct (record_id, system)) as divergent,
                extract(epoch from clock_timestamp() - min(at)) as oldest
              from verification_difference where state in ('confirmed', 'planned', 'repairing', 'unverified')
                and (run = r.run or at > coalesce(r.compared_at, '-infinity') and run in (
                  select run from verification_run o where o.entity = e.entity and o.origin = 'sweep' and ended_at is null))
            ) as d""";

    private final Schemas schemas;
    private final Runs runs;
    private final JdbcTemplate jdbc;
    private final Map<String, Map<String, Object>> told = new LinkedHashMap<>();
    private Instant at = Instant.EPOCH;

    State(Schemas schemas, Runs runs, JdbcTemplate jdbc, MeterRegistry registry) {
        this.schemas = schemas;
        this.runs = runs;
        this.jdbc = jdbc;
        for (Schema schema : schemas.all()) {
            String entity = schema.entity();
            gauge(registry, entity, "records", "golden records");
            gauge(registry, entity, "verified_share", "records compared by the last whole run, of all, 0 to 1");
            gauge(registry, entity, "verified_age_seconds", "since the last whole run ended");
            gauge(
                    registry,
                    entity,
                    "divergent",
                    "differences that stand since the last whole run, or that the sweep has found since");
            gauge(registry, entity, "divergent_oldest_seconds", "since the oldest of them was found");
            gauge(registry, entity, "under_way", "bases to which something is due: no differences");
            gauge(
                    registry,
                    entity,
                    "converged_p99_hour_seconds",
                    "within which 99 of 100 changes of the last hour arrived");
            gauge(
                    registry,
                    entity,
                    "converged_p99_day_seconds",
                    "within which 99 of 100 changes of the last day arrived");
        }
    }

    private void gauge(MeterRegistry registry, String entity, String what, String description) {
        Gauge.builder("sync_verification_" + what, () -> number(entity, what))
                .description(description)
                .tag("entity", entity)
                .register(registry);
    }

    private double number(String entity, String what) {
        try {
            Object value = told().getOrDefault(entity, Map.of()).get(what);
            return value instanceof Number number ? number.doubleValue() : Double.NaN;
        } catch (RuntimeException e) {
            // the database is away: its own health says so
            return Double.NaN;
        }
    }

    @Override
    public Health health() {
        return Health.up().withDetails(told()).build();
    }

    synchronized Map<String, Map<String, Object>> told() {
        if (at.plus(FRESH).isBefore(Instant.now())) {
            schemas.all().forEach(schema -> told.put(schema.entity(), told(schema.entity())));
            at = Instant.now();
        }
        return new LinkedHashMap<>(told);
    }

    private Map<String, Object> told(String entity) {
        return jdbc.queryForObject(
                LAST,
                (row, n) -> {
                    Map<String, Object> now = new LinkedHashMap<>();
                    long records = row.getLong("records");
                    now.put("records", records);
                    if (row.getTimestamp("compared_at") != null) {
                        long verified = Math.max(0, row.getLong("compared") - row.getLong("unverified"));
                        now.put("verified_share", records == 0 ? 1.0 : Math.min(1.0, (double) verified / records));
                        Instant ended = row.getTimestamp("compared_at").toInstant();
                        now.put(
                                "verified_age_seconds",
                                Duration.between(ended, Instant.now()).toSeconds());
                    } else {
                        now.put("verified_share", 0.0);
                    }
                    now.putIfAbsent("verified_age_seconds", null);
                    now.put("divergent", row.getLong("divergent"));
                    now.put("divergent_oldest_seconds", row.getLong("oldest"));
                    now.put("under_way", row.getLong("under_way"));
                    p99(now, entity, "converged_p99_hour_seconds", Duration.ofHours(1));
                    p99(now, entity, "converged_p99_day_seconds", Duration.ofDays(1));
                    return now;
                },
                entity);
    }

    private void p99(Map<String, Object> now, String entity, String name, Duration within) {
        Duration p99 = runs.p99(entity, within);
        now.put(name, p99 == null ? null : p99.toMillis() / 1000.0);
    }
}
