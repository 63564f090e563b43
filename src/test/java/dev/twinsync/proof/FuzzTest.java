package dev.twinsync.proof;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.capture.Capture;
import dev.twinsync.devservices.Caller;
import dev.twinsync.devservices.Neighbours;
import dev.twinsync.flow.FailurePolicy;
import dev.twinsync.record.Json;
import java.math.BigDecimal;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.camel.CamelContext;
import org.apache.camel.ProducerTemplate;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DriverManagerDataSource;

/** Nonsense from every side: it is refused, or kept as a letter, and whoever stands beside it is worked as ever. */
class FuzzTest {

    private static final List<String> PUSHES = List.of(
            "{\"user_id\":\"fuzz-1\",\"data\":{\"nickname\":\"张三\",\"avatar\":\"https://example.com/a.jpg\",\"phone\":\"13800138000\",\"language\":\"zh-CN\",\"notifications\":{\"order\":true},\"deleted\":false},\"updated_at\":\"2026-01-31T08:00:00+08:00\"}",
            "{\"order_id\":\"fuzz-1\",\"data\":{\"user_id\":\"fuzz-1\",\"status\":\"已支付\",\"payment_amount\":199.99,\"currency\":\"CNY\",\"items\":[{\"line_no\":1,\"sku\":\"a\",\"title\":\"茶\",\"quantity\":2,\"unit_price\":15.25}],\"shipping_info\":{\"carrier\":\"顺丰\",\"tracking_number\":\"1\"},\"paid_at\":\"2026-01-31T08:00:00Z\"}}");

    private static final String OBSERVATION =
            "{\"kind\":\"reading\",\"entity\":\"user\",\"id\":\"fuzz-t\",\"system\":\"mini\",\"exists\":true,\"data\":{\"nickname\":\"a\"},\"position\":\"2026-01-31T08:00:00.000000Z\",\"ticks\":[1,2],\"changed_at\":\"2026-01-31T08:00:00Z\",\"observed_at\":\"2026-01-31T08:00:00Z\",\"event_id\":\"e\",\"traceparent\":\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\"}";

    private static final String CHANGED = "{\"id\":\"fuzz-t\",\"version\":1,\"due\":[\"app\",\"mini\"]}";

    private static final List<String> TOPICS =
            List.of("user.observed", "order.observed", "user.changed", "order.changed");

    private static int number;

    private final Neighbours neighbours = Neighbours.get();
    private final Caller caller = new Caller(neighbours.service());
    private final JdbcTemplate state = neighbours.service().getBean(JdbcTemplate.class);
    private final long seed = Rig.seed();
    private final Random random = new Random(seed);
    private final Nonsense nonsense = new Nonsense(random);

    @AfterEach
    void noMoreNonsense() {
        neighbours.mini.distort(null);
    }

    @Test
    void pushesOfNonsenseAreRefusedAndNoneIsAnErrorOfOurs() throws Exception {
        pushes(500);
    }

    @Test
    void answersOfNonsenseStopNobody() throws Exception {
        answers(400);
    }

    @Test
    void recordsOfNonsenseOnTheTopicsAreLettersAndHoldUpNoOther() throws Exception {
        records(400);
    }

    @Test
    void aPoisonRecordFirstInEachPartitionIsALetterAndHoldsUpNoneBehindIt() throws Exception {
        // what says that something is due only names a record: what its body says is of no account, and no loss
        List<String> observed = new ArrayList<>();
        try (KafkaProducer<String, byte[]> kafka = kafka()) {
            for (String topic : TOPICS) {
                for (PartitionInfo of : kafka.partitionsFor(topic)) {
                    String key = "poison-" + topic + '-' + of.partition();
                    kafka.send(new ProducerRecord<>(
                            topic, of.partition(), key, "{\"kind\":".getBytes(StandardCharsets.UTF_8)));
                    if (topic.endsWith("observed")) {
                        observed.add(key);
                    }
                }
            }
            kafka.flush();
        }
        neighboursGoOn();
        await("their letters").atMost(Duration.ofMinutes(1)).untilAsserted(() -> {
            for (String key : observed) {
                assertThat(state.queryForList("select 1 from dead_letter where record_id = ? and state = 'open'", key))
                        .as(key)
                        .isNotEmpty();
            }
        });
    }

    @Test
    @Tag("proof")
    void tenThousandOfEach() throws Exception {
        int letters = letters();
        Tally.line("fuzzed pushes", pushes(10_000), 10_000, 0, 0);
        Tally.line("fuzzed answers of the mini-program", answers(10_000), 10_000, 0, 0);
        records(10_000);
        Tally.line("fuzzed records on topics", (letters() - letters) + " letters", 10_000, 0, 0);
    }

    private int letters() {
        return state.queryForObject("select count(*) from dead_letter", Integer.class);
    }

    /** @return how often each status was answered */
    private String pushes(int cases) throws Exception {
        Map<Integer, Integer> statuses = new TreeMap<>();
        List<String> breaches = new ArrayList<>();
        for (int i = 0; i < cases; i++) {
            int which = random.nextInt(2);
            String entity = which == 0 ? "user" : "order";
            boolean batch = random.nextInt(5) == 0;
            byte[] body = random.nextInt(8) == 0
                    ? Json.bytes(Map.of(
                            entity + "_id",
                            Nonsense.IDS.get(random.nextInt(Nonsense.IDS.size())),
                            "data",
                            Map.of("deleted", false)))
                    : nonsense.of(
                            batch
                                    ? "{\"items\":[" + PUSHES.get(which) + ',' + PUSHES.get(which) + "]}"
                                    : PUSHES.get(which));
            HttpResponse<String> answer = caller.send(caller.request(
                            random.nextBoolean() ? "mini-key" : "app-key",
                            "/sync_" + entity + "_data" + (batch ? "/batch" : ""))
                    .timeout(Duration.ofSeconds(20))
                    .header("Content-Type", "application/json")
                    .POST(BodyPublishers.ofByteArray(body)));
            statuses.merge(answer.statusCode(), 1, Integer::sum);
            String type = answer.headers().firstValue("Content-Type").orElse("");
            boolean told = answer.statusCode() == 202
                    || answer.statusCode() >= 400
                            && answer.statusCode() < 500
                            && type.equals("application/problem+json")
                            && !Json.read(answer.body()).path("detail").asText().isEmpty()
                            // what can be read and not be used is named
                            && (answer.statusCode() != 422
                                    || !Json.read(answer.body())
                                            .at("/errors/0/pointer")
                                            .asText()
                                            .isEmpty());
            if (!told) {
                breaches.add(
                        new String(body, StandardCharsets.UTF_8) + " -> " + answer.statusCode() + ' ' + answer.body());
            }
        }
        assertThat(breaches).as("seed %d", seed).isEmpty();
        assertThat(statuses.keySet()).as("not vacuous: %s", statuses).contains(202, 400, 422);
        neighboursGoOn();
        return statuses.toString();
    }

    /** @return how often each kind of call failed */
    private String answers(int cases) {
        CamelContext camel = neighbours.service().getBean(CamelContext.class);
        Capture capture = neighbours.service().getBean(Capture.class);
        FailurePolicy policy = neighbours.service().getBean(FailurePolicy.class);
        ProducerTemplate template = camel.createProducerTemplate();
        Map<String, String> asked = Map.of("user", "users", "order", "orders");
        String known = "fuzz-answers-" + ++number;
        asked.keySet()
                .forEach(entity -> neighbours.mini.edit(
                        entity,
                        known,
                        Map.of("user_id", "u", "status", "paid", "payment_amount", new BigDecimal("1.00"))));
        neighbours.mini.distort(this::distorted);
        Map<String, Integer> failures = new TreeMap<>();
        List<String> breaches = new ArrayList<>();
        for (int i = 0; i < cases; i++) {
            String entity = random.nextBoolean() ? "user" : "order";
            try {
                switch (random.nextInt(3)) {
                    case 0 -> Json.bytes(capture.look("mini", entity, known).data());
                    case 1 ->
                        template.requestBodyAndHeaders(
                                "direct:find-mini-" + asked.get(entity),
                                null,
                                Map.of("limit", 3, "after", "", "body", "none"),
                                JsonNode.class);
                    default ->
                        template.requestBody(
                                "direct:batch-mini-" + asked.get(entity),
                                Json.read("{\"items\":[{\"" + entity
                                        + "_id\":\"fuzz-written\",\"data\":{\"deleted\":false}}]}"),
                                JsonNode.class);
                }
                failures.merge("none", 1, Integer::sum);
            } catch (RuntimeException e) {
                if (!policy.passes(e)) {
                    breaches.add(e + " <- " + e.getCause());
                }
                failures.merge("no answer of the contract's", 1, Integer::sum);
            }
        }
        assertThat(breaches)
                .as("seed %d: each is waited for, and no letter", seed)
                .isEmpty();
        assertThat(failures).hasSize(2);
        // and while it goes on, those that poll and deliver meet some too
        int failed = neighbours.mini.failed();
        String run = known + '-';
        AtomicInteger made = new AtomicInteger();
        await("others meet some")
                .atMost(Duration.ofMinutes(1))
                .pollInterval(Duration.ofMillis(50))
                .until(() -> {
                    int n = made.incrementAndGet();
                    app().update("""
                            insert into users (user_id, nickname) values (?, ?) on conflict (user_id)
                            do update set nickname = excluded.nickname, updated_at = clock_timestamp()""", run + n % 20, "第" + n);
                    return neighbours.mini.failed() >= failed + 12;
                });
        neighbours.mini.distort(null);
        neighboursGoOn();
        return failures.toString();
    }

    private synchronized byte[] distorted(String path, byte[] body) {
        String text = new String(body, StandardCharsets.UTF_8);
        byte[] spoilt = nonsense.of(text);
        if (path.equals("/changes")) {
            // where it goes on is the system's to say: a cursor that is none of its own can't be told from one that is
            try {
                if (Json.read(spoilt) instanceof ObjectNode page) {
                    page.set("next", Json.read(text).path("next"));
                    return Json.bytes(page);
                }
            } catch (IllegalArgumentException e) {
                return spoilt;
            }
        }
        return spoilt;
    }

    private JdbcTemplate app() {
        return new JdbcTemplate(new DriverManagerDataSource(neighbours.postgres.url(), "postgres", "postgres"));
    }

    private static boolean isObject(byte[] value) {
        try {
            return Json.read(value).isObject();
        } catch (IllegalArgumentException e) {
            return false;
        }
    }

    private void records(int cases) throws Exception {
        Set<String> unread = new HashSet<>();
        try (KafkaProducer<String, byte[]> kafka = kafka()) {
            for (int i = 0; i < cases; i++) {
                String topic = TOPICS.get(random.nextInt(TOPICS.size()));
                boolean observed = topic.endsWith("observed");
                byte[] value = random.nextInt(20) == 0 ? null : nonsense.of(observed ? OBSERVATION : CHANGED);
                boolean lost = observed && value != null && !isObject(value);
                // what can't be read has to be a letter of its own
                String key = lost
                        ? "fuzz-unread-" + number + '-' + i
                        : random.nextInt(10) == 0
                                ? null
                                : random.nextInt(10) == 0
                                        ? Nonsense.IDS.get(random.nextInt(Nonsense.IDS.size()))
                                        : "fuzz-t" + i % 97;
                if (lost) {
                    unread.add(key);
                }
                ProducerRecord<String, byte[]> record = new ProducerRecord<>(topic, key, value);
                for (String header : List.of(
                        "ce_time",
                        "ce_id",
                        "traceparent",
                        "sync-retry-of",
                        "CamelKafkaTopic",
                        "kafka.OVERRIDE_TOPIC")) {
                    if (random.nextInt(4) == 0) {
                        record.headers().add(new RecordHeader(header, bytes()));
                    }
                }
                kafka.send(record);
            }
            kafka.flush();
        }
        neighboursGoOn();
        assertThat(unread).as("not vacuous").isNotEmpty();
        await("a letter of each that can't be read")
                .atMost(Duration.ofMinutes(1))
                .untilAsserted(() -> {
                    Set<String> missing = new HashSet<>(unread);
                    missing.removeAll(state.queryForList(
                            "select record_id from dead_letter where record_id like 'fuzz-unread-%'", String.class));
                    assertThat(missing).as("seed %d", seed).isEmpty();
                });
    }

    private KafkaProducer<String, byte[]> kafka() {
        return new KafkaProducer<>(
                Map.of("bootstrap.servers", neighbours.broker.address()),
                new StringSerializer(),
                new ByteArraySerializer());
    }

    private byte[] bytes() {
        byte[] bytes = new byte[random.nextInt(40)];
        random.nextBytes(bytes);
        return bytes;
    }

    /** A user and an order cross both ways, beside the nonsense. */
    private void neighboursGoOn() {
        String id = "fuzz-after-" + ++number + '-' + ThreadLocalRandom.current().nextInt(1_000_000);
        List<String> ids = new ArrayList<>();
        // enough that each partition has some
        for (int i = 0; i < 12; i++) {
            ids.add(id + '-' + i);
        }
        JdbcTemplate app = app();
        for (String one : ids) {
            app.update("insert into users (user_id, nickname) values (?, '后')", one);
            neighbours.mini.edit(
                    "order", one, Map.of("user_id", one, "status", "paid", "payment_amount", new BigDecimal("1.00")));
        }
        await("who stands beside the nonsense is worked (seed " + seed + ')')
                .atMost(Duration.ofMinutes(2))
                .pollInterval(Duration.ofMillis(100))
                .untilAsserted(() -> {
                    for (String one : ids) {
                        assertThat(neighbours.mini.read("user", one)).as(one).isNotNull();
                        assertThat(app.queryForList("select 1 from orders where order_id = ?", one))
                                .as(one)
                                .hasSize(1);
                    }
                });
    }
}
