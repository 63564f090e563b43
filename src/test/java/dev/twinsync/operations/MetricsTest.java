package dev.twinsync.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.twinsync.capture.Capture;
import dev.twinsync.devservices.Caller;
import dev.twinsync.devservices.Neighbours;
import dev.twinsync.flow.KafkaClients;
import dev.twinsync.record.Schemas;
import io.micrometer.core.instrument.MeterRegistry;
import java.time.Duration;
import java.util.Map;
import org.apache.camel.CamelContext;
import org.apache.camel.component.kafka.KafkaComponent;
import org.apache.camel.component.kafka.KafkaEndpoint;
import org.awaitility.core.ThrowingRunnable;
import org.flywaydb.core.Flyway;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DriverManagerDataSource;

/** The numbers say what happened. */
class MetricsTest {

    private static ConfigurableApplicationContext service;
    private static Caller caller;
    private static JdbcTemplate jdbc;

    @BeforeAll
    static void start() {
        service = Neighbours.get().service();
        caller = new Caller(service);
        jdbc = new JdbcTemplate(
                new DriverManagerDataSource(Neighbours.get().postgres.url(), "postgres", "postgres"));
    }

    private static void soon(ThrowingRunnable check) {
        await().atMost(Duration.ofSeconds(30)).ignoreExceptions().untilAsserted(check);
    }

    private static double count(String name, String... tags) {
        return service.getBean(MeterRegistry.class).find(name).tags(tags).counters().stream()
                .mapToDouble(counter -> counter.count())
                .sum();
    }

    private static double gauge(String name, String... tags) {
        return service.getBean(MeterRegistry.class).get(name).tags(tags).gauge().value();
    }

    private static long history(String id) {
        Long count = jdbc.queryForObject("select count(*) from sync.history where id = ?", Long.class, id);
        return count == null ? 0 : count;
    }

    private static void settled(String id) {
        soon(() -> assertThat(jdbc.queryForObject(
                        "select count(*) from sync.base b where id = ? and known and not doubt and not exists (select from sync.due d where d.entity = b.entity and d.id = b.id and d.system = b.system)",
                        Long.class,
                        id))
                .isEqualTo(2));
    }

    @Test
    void anObservationThatChangedNothingIsCountedAndNotStored() {
        jdbc.update("insert into users (user_id, nickname) values ('metrics-same', 'a')");
        soon(() ->
                assertThat(Neighbours.get().mini.read("user", "metrics-same")).isNotNull());
        settled("metrics-same");
        // the echo of the delivery is read by the poll of the mini-program
        soon(() -> assertThat(jdbc.queryForObject(
                        "select observed_at is not null from sync.base where id = 'metrics-same' and system = 'mini'",
                        Boolean.class))
                .isTrue());
        long stored = history("metrics-same");
        assertThat(stored).isPositive();
        double before = count("sync_unchanged", "entity", "user", "system", "app");
        jdbc.update("update users set updated_at = clock_timestamp() where user_id = 'metrics-same'");
        soon(() -> assertThat(count("sync_unchanged", "entity", "user", "system", "app"))
                .isGreaterThan(before));
        assertThat(history("metrics-same")).isEqualTo(stored);
    }

    @Test
    void everyStepOfTheWayIsCounted() throws Exception {
        double observed = count("sync_observed", "entity", "user");
        double merged = count("sync_merged", "entity", "user");
        double delivered = count("sync_delivered", "entity", "user", "system", "mini");
        double refused = count("sync_refused", "entity", "user", "system", "mini");
        double letters = count("sync_dead_letters", "entity", "user", "system", "mini", "error", "422");
        double unusable = count("sync_dead_letters", "entity", "user", "system", "app", "route", "merge-users");
        Neighbours.get().mini.refuse("user", "metrics-refused", 422);
        jdbc.update("insert into users (user_id, nickname, phone) values ('metrics-way', 'a', '13800138000'),"
                + " ('metrics-refused', 'b', null), ('metrics-phone', 'c', '123')");
        soon(() -> {
            assertThat(count("sync_observed", "entity", "user")).isGreaterThanOrEqualTo(observed + 3);
            assertThat(count("sync_merged", "entity", "user")).isGreaterThanOrEqualTo(merged + 3);
            assertThat(count("sync_delivered", "entity", "user", "system", "mini"))
                    .isGreaterThanOrEqualTo(delivered + 2);
            assertThat(count("sync_refused", "entity", "user", "system", "mini"))
                    .isEqualTo(refused + 1);
            assertThat(count("sync_dead_letters", "entity", "user", "system", "mini", "error", "422"))
                    .isEqualTo(letters + 1);
            assertThat(count("sync_dead_letters", "entity", "user", "system", "app", "route", "merge-users"))
                    // read by poll and sweep at once it is told twice, and is one letter
                    .isEqualTo(unusable + 1);
        });
        soon(() -> {
            assertThat(gauge("sync_dead_letters_open", "entity", "user", "system", "mini"))
                    .isPositive();
            assertThat(gauge("sync_dead_letters_oldest_age_seconds", "entity", "user", "system", "app"))
                    .isPositive();
        });
        Neighbours.get().mini.allow("user", "metrics-refused");
        String text = caller.get("ops-key", "/actuator/prometheus").body();
        assertThat(text)
                .contains("sync_end_to_end_seconds_bucket{", "sync_observe_to_merge_seconds_count{")
                .contains("sync_lag_seconds{", "sync_due{", "sync_waiting{", "sync_topic_behind{")
                .contains("sync_poll_age_seconds{", "sync_cursor_age_seconds{", "sync_clock_offset_seconds{")
                .doesNotContain("metrics-way", "metrics-refused", "metrics-phone", "13800138000");
    }

    @Test
    void theLagIsTheAgeOfTheOldestChangeThatCouldBeDelivered() {
        // a schema of its own: the flows would work what is due
        var source = new DriverManagerDataSource(
                Neighbours.get().postgres.url() + "?currentSchema=lag", "postgres", "postgres");
        Flyway.configure()
                .dataSource(source)
                .schemas("lag")
                .defaultSchema("lag")
                .load()
                .migrate();
        JdbcTemplate state = new JdbcTemplate(source);
        State look = new State(
                state,
                service.getBean(Schemas.class),
                service.getBean(Capture.class),
                service.getBean(CamelContext.class));
        assertThat(orders(look)).isEqualTo(new Seen.Backlog("order", "mini", Duration.ZERO, null, 0, 0));
        base(state, "a", "1 hour", null, null);
        base(state, "b-refused", "3 hours", null, 7L);
        base(state, "c-waiting", "4 hours", "{user_id}", null);
        base(state, "d-refused-before", "2 hours", null, 6L);
        for (String id : new String[] {"b-refused", "d-refused-before"}) {
            state.update("insert into golden (entity, id, version) values ('order', ?, 7)", id);
        }
        Seen.Backlog backlog = orders(look);
        assertThat(backlog.lag()).isBetween(Duration.ofMinutes(119), Duration.ofMinutes(130));
        assertThat(backlog.due()).isEqualTo(4);
        assertThat(backlog.waiting()).isEqualTo(1);
        state.update("delete from due where id = 'd-refused-before'");
        assertThat(orders(look).lag()).isBetween(Duration.ofMinutes(59), Duration.ofMinutes(70));
        state.execute("drop schema lag cascade");
    }

    private static Seen.Backlog orders(State look) {
        return look.look().backlog().stream()
                .filter(b -> b.entity().equals("order") && b.system().equals("mini"))
                .findFirst()
                .orElseThrow();
    }

    private static void base(JdbcTemplate state, String id, String age, String waitingFor, Long refused) {
        state.update("""
                with due as (insert into due (entity, id, system, since, version)
                  values ('order', ?, 'mini', clock_timestamp() - ?::interval, 0))
                insert into base (entity, id, system, waiting_for, refused) values ('order', ?, 'mini', ?::text[], ?)""", id, age, id, waitingFor, refused);
    }

    @Test
    void groupsThatHaveWorkedAllAreNotBehind() {
        soon(() -> {
            assertThat(gauge("sync_topic_behind", "group", "merge-user")).isZero();
            assertThat(gauge("sync_topic_lag_seconds", "group", "merge-user")).isZero();
            assertThat(gauge("sync_topic_behind", "group", "store-dead-letters"))
                    .isZero();
        });
    }

    @Test
    void whatTheEnvironmentPassesReachesTheClientsOfTheFlows() throws Exception {
        KafkaClients clients = service.getBean(KafkaClients.class);
        assertThat(clients.passed()).isEqualTo(Map.of("metadata.max.age.ms", "123456"));
        assertThat(clients.properties()).containsEntry("metadata.max.age.ms", "123456");
        CamelContext camel = service.getBean(CamelContext.class);
        assertThat(camel.getComponent("kafka", KafkaComponent.class)
                        .getConfiguration()
                        .getAdditionalProperties())
                .containsEntry("metadata.max.age.ms", "123456");
        KafkaEndpoint consumer = (KafkaEndpoint) camel.getRoute("merge-users").getEndpoint();
        assertThat(consumer.getConfiguration().createConsumerProperties().getProperty("metadata.max.age.ms"))
                .isEqualTo("123456");
        assertThat(consumer.getConfiguration().createProducerProperties().getProperty("metadata.max.age.ms"))
                .isEqualTo("123456");
    }
}
