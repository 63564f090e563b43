package dev.twinsync.verification;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.capture.Clocks;
import dev.twinsync.flow.KafkaClients;
import dev.twinsync.merge.Observation;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.state.Topics;
import java.sql.Timestamp;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import javax.sql.DataSource;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.config.ConfigResource;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.core.env.ConfigurableEnvironment;
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
    private final ConfigurableEnvironment environment;
    private final JdbcTemplate app;
    private final JdbcTemplate state;

    Diagnosis(
            Schemas schemas,
            Ends ends,
            Clocks clocks,
            KafkaClients kafka,
            ConfigurableEnvironment environment,
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
            String version = state.queryForObject(
                    "select version from flyway_schema_history where success order by installed_rank desc limit 1",
                    String.class);
            return "reached, at migration " + version;
        });
        check(
                found,
                "grant create in schema sync",
                "make the role of SYNC_DB_USERNAME the owner of the schema sync",
                () -> {
                    if (!Boolean.TRUE.equals(
                            state.queryForObject("select has_schema_privilege('sync', 'create')", Boolean.class))) {
                        throw new IllegalStateException("history can't get its next partitions");
                    }
                    return "held";
                });
        check(found, "app database", "see APP_DB_*", () -> {
            Boolean reads = app.queryForObject("select pg_is_in_recovery()", Boolean.class);
            if (Boolean.TRUE.equals(reads)) {
                throw new IllegalStateException("it is a standby, which can't be written to");
            }
            return "reached";
        });
        check(found, "grant pg_read_all_stats", "grant pg_read_all_stats to the role of APP_DB_USERNAME", () -> {
            if (!Boolean.TRUE.equals(app.queryForObject(
                    "select pg_has_role(current_user, 'pg_read_all_stats', 'usage')", Boolean.class))) {
                throw new Warning("other sessions' transactions can't be seen: rows are listed again for minutes");
            }
            return "held";
        });
        if ("log".equals(environment.getProperty("twinsync.capture.app.scheme"))) {
            log(found);
        }
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
        check(found, "clock of the sync database", "set both by NTP", () -> {
            Instant before = Instant.now();
            Instant there = state.queryForObject("select clock_timestamp()", Timestamp.class)
                    .toInstant();
            Duration offset = Duration.between(
                    before.plus(Duration.between(before, Instant.now()).dividedBy(2)), there);
            if (offset.abs().compareTo(Clocks.SUSPECT) > 0) {
                throw new Warning(offset.toMillis() + " ms from ours");
            }
            return offset.toMillis() + " ms from ours";
        });
        clocks.offsets()
                .forEach((system, offset) -> check(found, "clock of " + system, "set both by NTP", () -> {
                    if (offset.abs().compareTo(Clocks.SUSPECT) > 0) {
                        throw new Warning(offset.toMillis() + " ms from ours");
                    }
                    return offset.toMillis() + " ms from ours";
                }));
        found.addAll(SettingsInForce.of(environment));
        return found;
    }

    private void log(List<Finding> found) {
        check(
                found,
                "setting wal_level of the app database",
                "set wal_level = logical, and restart that server",
                () -> {
                    String level = app.queryForObject("show wal_level", String.class);
                    if (!"logical".equals(level)) {
                        throw new IllegalStateException("it is " + level);
                    }
                    return level;
                });
        check(found, "grant replication", "alter role … replication, for the role of APP_DB_USERNAME", () -> {
            if (!Boolean.TRUE.equals(app.queryForObject(
                    "select rolreplication or rolsuper from pg_roles where rolname = current_user", Boolean.class))) {
                throw new IllegalStateException("the log can't be read");
            }
            return "held";
        });
    }

    private void topics(List<Finding> found) {
        List<String> names = new ArrayList<>();
        for (Schema schema : schemas.all()) {
            for (String topic : List.of(Topics.observed(schema.entity()), Topics.changed(schema.entity()))) {
                names.add(topic);
                names.add(Topics.deadLetters(topic));
            }
        }
        Map<String, TopicDescription> there = new TreeMap<>();
        Map<String, Config> settings = new TreeMap<>();
        check(
                found,
                "topics",
                "see KAFKA_BROKERS and KAFKA_CLIENT_*; missing topics are made at the next start",
                () -> {
                    try (Admin admin = Admin.create(kafka.properties())) {
                        Set<String> all = admin.listTopics().names().get(15, TimeUnit.SECONDS);
                        List<String> missing = names.stream()
                                .filter(name -> !all.contains(name))
                                .toList();
                        List<String> known =
                                names.stream().filter(all::contains).toList();
                        there.putAll(admin.describeTopics(known).allTopicNames().get(15, TimeUnit.SECONDS));
                        admin.describeConfigs(known.stream()
                                        .map(name -> new ConfigResource(ConfigResource.Type.TOPIC, name))
                                        .toList())
                                .all()
                                .get(15, TimeUnit.SECONDS)
                                .forEach((resource, config) -> settings.put(resource.name(), config));
                        if (!missing.isEmpty()) {
                            throw new IllegalStateException("missing: " + missing);
                        }
                        return "all there";
                    }
                });
        there.forEach((name, topic) -> check(found, "topic " + name, "alter the topic, see twinsync.topics", () -> {
            Config config = settings.get(name);
            String policy = config.get("cleanup.policy").value();
            if (policy.contains("compact")) {
                throw new IllegalStateException(
                        "cleanup.policy is " + policy + ": an observation that was not worked yet may be removed");
            }
            if (topic.partitions().stream()
                    .anyMatch(partition ->
                            partition.leader() == null || partition.leader().isEmpty())) {
                throw new IllegalStateException("a partition has no leader");
            }
            long retention = Long.parseLong(config.get("retention.ms").value());
            if (retention >= 0 && retention < Duration.ofDays(1).toMillis()) {
                throw new Warning("kept for " + Duration.ofMillis(retention)
                        + " only: what waits longer is lost in Kafka, and only a verification brings it back");
            }
            return topic.partitions().size() + " partitions, kept for "
                    + (retention < 0 ? "ever" : Duration.ofMillis(retention));
        }));
    }

    private void table(List<Finding> found, String system, Schema schema) {
        String flows = "-" + system + '-' + schema.plural();
        String pages = "flows page" + flows + ", check" + flows + ", digest" + flows;
        check(found, pages, "see their SQL and the role's rights", () -> {
            Map<String, String> page = ends.page(system, schema, "");
            List<String> some = page.keySet().stream().limit(3).toList();
            if (!ends.there(system, schema, some).containsAll(some)) {
                throw new IllegalStateException("check" + flows + " does not find what page" + flows
                        + " lists: a sweep would think records gone, and hold back deletions");
            }
            Map<String, Observation> looks = some.isEmpty() ? Map.of() : ends.look(system, schema, some);
            if (looks.values().stream().anyMatch(look -> look.exists() && look.digest() == null)) {
                throw new Warning("read" + flows + ".sql gives no digest: every run reads every record");
            }
            return page.size() + " keys of the first page";
        });
        check(
                found,
                "rights of lock" + flows + ", write" + flows,
                "grant the role select, insert and update on what their SQL names",
                () -> {
                    // no row is locked and none written, but the database checks the rights
                    ends.tryWriting(system, schema);
                    return "held";
                });
    }

    private void contract(List<Finding> found, String system, Schema schema) {
        String what = schema.plural() + " at " + system;
        check(
                found,
                "reads of " + what,
                "see MINI_API_URL and MINI_API_KEY, and the flow read-" + system + '-' + schema.plural(),
                () -> {
                    Map<String, Observation> looks = ends.look(system, schema, List.of("twinsync-diagnosis"));
                    return looks.values().stream().anyMatch(Observation::exists)
                            ? "a record"
                            : "404 for an id that nobody has";
                });
        check(
                found,
                "changes of " + what,
                "give /changes as the contract says, see the flow find-" + system + '-' + schema.plural(),
                () -> {
                    JsonNode page = ends.changes(system, schema);
                    if (page == null
                            || !page.path("items").isArray()
                            || !page.path("next").isTextual()) {
                        throw new IllegalStateException("the answer has no items or no next");
                    }
                    return "as the contract says";
                });
        check(
                found,
                "listing of " + what,
                "without it verification reads record by record, and sees no surplus ones",
                () -> {
                    Ends.Listed page = ends.list(system, schema, "");
                    if (page == null) {
                        throw new Warning("there is none (404)");
                    }
                    return page.looks().size() + " records of the first page";
                });
        check(found, "digests of " + what, "give them as the contract says, or verification lists all records", () -> {
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
            // what is ours says it all
            String says = cause instanceof IllegalStateException
                    ? cause.getMessage()
                    : cause.getClass().getSimpleName() + ": " + cause.getMessage();
            found.add(new Finding(name, "fault", says, remedy));
        }
    }
}
