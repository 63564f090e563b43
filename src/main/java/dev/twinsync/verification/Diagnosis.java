package dev.twinsync.verification;

import dev.twinsync.capture.Clocks;
import dev.twinsync.flow.KafkaClients;
import dev.twinsync.merge.Observation;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.state.Topics;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import javax.sql.DataSource;
import org.apache.kafka.clients.admin.Admin;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.core.env.Environment;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Component;

/** Tries each setting, grant, topic, contract and clock that the service leans on, and says what to do where it gives way. */
@Component
public class Diagnosis {

    /**
     * @param state ok, warning or fault
     * @param remedy what to do, or null where all is well
     */
    public record Finding(String check, String state, String says, String remedy) {}

    /** A check: what it says when all is well; a warning is thrown as {@link Warning}, anything else is a fault. */
    private interface Check {
        String run() throws Exception;
    }

    private static final class Warning extends RuntimeException {
        Warning(String message) {
            super(message);
        }
    }

    private final Schemas schemas;
    private final Ends ends;
    private final Clocks clocks;
    private final KafkaClients kafka;
    private final Environment environment;
    private final JdbcTemplate app;
    private final JdbcTemplate state;

    Diagnosis(
            Schemas schemas,
            Ends ends,
            Clocks clocks,
            KafkaClients kafka,
            Environment environment,
            @Qualifier("appPool") DataSource app,
            JdbcTemplate state) {
        this.schemas = schemas;
        this.ends = ends;
        this.clocks = clocks;
        this.kafka = kafka;
        this.environment = environment;
        this.app = new JdbcTemplate(app);
        this.state = state;
    }

    /** All findings, in the order of what leans on what. */
    public List<Finding> diagnose() {
        List<Finding> found = new ArrayList<>();
        check(found, "setting twinsync.verification", "mend the named setting in application.yaml", () -> {
            Settings settings = Settings.of(environment);
            if (settings.sweepDays() <= 0 && settings.every().isZero()) {
                throw new Warning("neither a schedule nor a sweep: nothing is verified unasked");
            }
            return "whole run every " + settings.every() + ", sweep within " + settings.sweepDays() + " days";
        });
        check(found, "sync database", "see SYNC_DB_*: the role owns the schema sync", () -> {
            state.queryForObject("select count(*) from cursor", Long.class);
            return "reached";
        });
        check(found, "app database", "see APP_DB_*", () -> {
            app.queryForObject("select 1", Integer.class);
            return "reached";
        });
        check(found, "grant pg_read_all_stats", "grant pg_read_all_stats to the role of APP_DB_USERNAME", () -> {
            if (!Boolean.TRUE.equals(app.queryForObject(
                    "select pg_has_role(current_user, 'pg_read_all_stats', 'usage')", Boolean.class))) {
                throw new Warning("other sessions' transactions can't be seen: rows are listed again for minutes");
            }
            return "held";
        });
        topics(found);
        for (Schema schema : schemas.all()) {
            for (String system : schema.systems()) {
                if (ends.isTable(system, schema)) {
                    table(found, system, schema);
                } else {
                    contract(found, system, schema);
                }
            }
        }
        clocks.offsets()
                .forEach((system, offset) -> check(found, "clock of " + system, "set both by NTP", () -> {
                    if (offset.abs().compareTo(Clocks.SUSPECT) > 0) {
                        throw new Warning(offset.toMillis() + " ms from ours");
                    }
                    return offset.toMillis() + " ms from ours";
                }));
        return found;
    }

    private void topics(List<Finding> found) {
        check(
                found,
                "topics",
                "see KAFKA_BROKERS and KAFKA_CLIENT_*; missing topics are made at the next start",
                () -> {
                    try (Admin admin = Admin.create(kafka.properties())) {
                        Set<String> there = admin.listTopics().names().get(15, TimeUnit.SECONDS);
                        List<String> missing = new ArrayList<>();
                        for (Schema schema : schemas.all()) {
                            for (String topic :
                                    List.of(Topics.observed(schema.entity()), Topics.changed(schema.entity()))) {
                                for (String name : List.of(topic, Topics.deadLetters(topic))) {
                                    if (!there.contains(name)) {
                                        missing.add(name);
                                    }
                                }
                            }
                        }
                        if (!missing.isEmpty()) {
                            throw new IllegalStateException("missing: " + missing);
                        }
                        return "all there";
                    }
                });
    }

    private void table(List<Finding> found, String system, Schema schema) {
        String flows = "-" + system + '-' + schema.plural();
        check(found, "flows page" + flows + ", digest" + flows, "see their SQL and the role's rights", () -> {
            Map<String, String> page = ends.page(system, schema, "");
            List<String> some = page.keySet().stream().limit(3).toList();
            Map<String, Observation> looks = some.isEmpty() ? Map.of() : ends.look(system, schema, some);
            if (looks.values().stream().anyMatch(look -> look.exists() && look.digest() == null)) {
                throw new Warning("read" + flows + ".sql gives no digest: every run reads every record");
            }
            return page.size() + " keys of the first page";
        });
    }

    private void contract(List<Finding> found, String system, Schema schema) {
        String of = " of " + schema.plural() + " at " + system;
        check(found, "listing" + of, "without it verification reads record by record, and sees no surplus ones", () -> {
            Ends.Listed page = ends.list(system, schema, "");
            if (page == null) {
                throw new Warning("there is none (404)");
            }
            return page.looks().size() + " records of the first page";
        });
        check(found, "digests" + of, "give them as the contract says, or verification lists all records", () -> {
            Map<Integer, String> buckets = ends.buckets(system, schema);
            if (buckets == null) {
                throw new Warning("there are none (404)");
            }
            if (buckets.isEmpty()) {
                return "no records yet";
            }
            Map<String, String> told =
                    ends.bucket(system, schema, buckets.keySet().iterator().next());
            List<String> some = told.keySet().stream().limit(3).toList();
            boolean right = some.isEmpty()
                    || ends.look(system, schema, some).values().stream()
                            .anyMatch(look -> told.get(look.id()).equals(look.digest()));
            if (!right) {
                throw new Warning("they are not SHA-256 over the canonical JSON (RFC 8785) of {id, deleted, data}");
            }
            return "as the contract says";
        });
    }

    private static void check(List<Finding> found, String name, String remedy, Check check) {
        long began = System.nanoTime();
        try {
            String says = check.run();
            long took = Duration.ofNanos(System.nanoTime() - began).toMillis();
            found.add(new Finding(name, "ok", says + " (" + took + " ms)", null));
        } catch (Warning e) {
            found.add(new Finding(name, "warning", e.getMessage(), remedy));
        } catch (Exception e) {
            if (e instanceof InterruptedException) {
                Thread.currentThread().interrupt();
            }
            Throwable cause = e;
            while (cause.getCause() != null && cause.getCause() != cause) {
                cause = cause.getCause();
            }
            found.add(new Finding(name, "fault", cause.getClass().getSimpleName() + ": " + cause.getMessage(), remedy));
        }
    }
}
