package dev.twinsync.flow;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.twinsync.devservices.Neighbours;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.apache.camel.CamelContext;
import org.apache.camel.component.kafka.KafkaConsumer;
import org.apache.camel.component.kafka.KafkaFetchRecords;
import org.awaitility.core.ConditionFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DriverManagerDataSource;
import org.springframework.test.util.ReflectionTestUtils;

/** Each reader of a flow reads when the flow runs and only then, whatever word of Camel's it has missed. */
class KafkaReadersTest {

    private static final String FLOW = "merge-users";

    /** So many keys are in every partition. */
    private static final int USERS = 60;

    private final Neighbours neighbours = Neighbours.get();
    private final CamelContext camel = neighbours.service().getBean(CamelContext.class);
    private final KafkaReaders readers = neighbours.service().getBean(KafkaReaders.class);
    private final JdbcTemplate app =
            new JdbcTemplate(new DriverManagerDataSource(neighbours.postgres.url(), "postgres", "postgres"));

    @AfterEach
    void goesOn() throws Exception {
        if (camel.getRouteController().getRouteStatus(FLOW).isSuspended()) {
            camel.getRouteController().resumeRoute(FLOW);
        }
    }

    private static ConditionFactory soon() {
        return await().atMost(Duration.ofSeconds(60)).pollInterval(Duration.ofMillis(50));
    }

    private void make(String prefix) {
        app.update(
                "insert into users (user_id, nickname) select ? || n, '众' from generate_series(1, ?) n", prefix, USERS);
    }

    private long merged(String prefix) {
        Long merged = app.queryForObject(
                "select count(*) from sync.golden where entity = 'user' and id like ?", Long.class, prefix + '%');
        return merged == null ? 0 : merged;
    }

    /** Does what one of the two readers is not told of, as where its own last act overwrote the word. */
    private void untold(Act act) throws Exception {
        KafkaConsumer consumer = (KafkaConsumer) camel.getRoute(FLOW).getConsumer();
        @SuppressWarnings("unchecked")
        List<KafkaFetchRecords> tasks =
                (List<KafkaFetchRecords>) ReflectionTestUtils.getField(consumer, KafkaConsumer.class, "tasks");
        assertThat(tasks).hasSize(2);
        KafkaFetchRecords deaf = tasks.remove(0);
        act.run();
        tasks.add(0, deaf);
    }

    private interface Act {
        void run() throws Exception;
    }

    @Test
    void aReaderThatWasNotToldToGoOnGoesOn() throws Exception {
        camel.getRouteController().suspendRoute(FLOW);
        make("untold-");
        soon().until(() -> pausedReaders() == 2);
        untold(() -> camel.getRouteController().resumeRoute(FLOW));
        soon().untilAsserted(() -> assertThat(merged("untold-")).isEqualTo(USERS));
    }

    @Test
    void aReaderThatWasNotToldToPausePauses() throws Exception {
        untold(() -> camel.getRouteController().suspendRoute(FLOW));
        soon().until(() -> pausedReaders() == 2);
        camel.getRouteController().resumeRoute(FLOW);
        make("unpaused-");
        soon().untilAsserted(() -> assertThat(merged("unpaused-")).isEqualTo(USERS));
    }

    private long pausedReaders() {
        return readers.of(FLOW).stream().filter(KafkaReaders.Reader::isPaused).count();
    }

    /** A reader whose polling fails while its flow is suspended does not come back by itself. */
    @Test
    void aFlowThatHasLostItsReadersIsStartedAnew() throws Exception {
        camel.getRouteController().suspendRoute(FLOW);
        soon().until(() -> pausedReaders() == 2);
        List<KafkaReaders.Reader> lost = readers.of(FLOW);
        // its poll ends with an exception
        lost.forEach(reader -> reader.wakeup());
        soon().until(() -> readers.of(FLOW).isEmpty());
        camel.getRouteController().resumeRoute(FLOW);
        make("kept-");
        soon().untilAsserted(() -> assertThat(merged("kept-")).isEqualTo(USERS));
        assertThat(readers.of(FLOW)).hasSize(2).doesNotContainAnyElementsOf(lost);
    }

    @Test
    void aBatchThatTakesLongIsToldOf() {
        assertThat(readers.trouble(camel.getRoute(FLOW))).isNull();
        Instant later = Instant.now().plusSeconds(150);
        assertThat(readers.trouble(camel.getRoute(FLOW), later))
                .startsWith("a reader has asked Kafka for nothing for 1");
        assertThat(readers.trouble(camel.getRoute("poll-app-users"), later)).isNull();
    }
}
