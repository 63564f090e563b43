package dev.twinsync.state;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.twinsync.devservices.Neighbours;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.junit.jupiter.api.Test;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DriverManagerDataSource;

/** What comes back from a write of ours settles its base and goes no further. */
class EchoesTest {

    private static final int USERS = 60;

    private final Neighbours neighbours = Neighbours.get();
    private final JdbcTemplate app =
            new JdbcTemplate(new DriverManagerDataSource(neighbours.postgres.url(), "postgres", "postgres"));

    @Test
    void anEchoSettlesItsBaseAndIsNotPublished() {
        neighbours.service();
        app.update(
                "insert into users (user_id, nickname) select 'echo-' || n, '回' from generate_series(1, ?) n", USERS);
        await().atMost(Duration.ofSeconds(60)).untilAsserted(() -> assertThat(app.queryForObject("""
                        select count(*) from sync.base where id like 'echo-%' and system = 'mini' and digest is not null
                          and detail is null and not doubt""", Long.class))
                .isEqualTo(USERS));
        assertThat(app.queryForObject(
                        "select count(*) from sync.golden where id like 'echo-%' and version = 1", Long.class))
                .isEqualTo(USERS);
        List<String> published = published("user.observed", "echo-");
        assertThat(published).filteredOn("app"::equals).hasSizeGreaterThanOrEqualTo(USERS);
        // one whose answer is long in coming goes the long way
        assertThat(published).filteredOn("mini"::equals).hasSizeLessThan(USERS / 2);
    }

    /** The systems that the readings of a topic are of. */
    private List<String> published(String topic, String prefix) {
        List<String> systems = new ArrayList<>();
        try (KafkaConsumer<String, byte[]> consumer = new KafkaConsumer<>(
                Map.of("bootstrap.servers", neighbours.broker.address()),
                new StringDeserializer(),
                new ByteArrayDeserializer())) {
            List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
                    .map(partition -> new TopicPartition(topic, partition.partition()))
                    .toList();
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            while (ends.entrySet().stream().anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) {
                for (ConsumerRecord<String, byte[]> one : consumer.poll(Duration.ofMillis(200))) {
                    if (one.key() != null && one.key().startsWith(prefix)) {
                        systems.add(
                                new String(one.headers().lastHeader("ce_source").value(), StandardCharsets.UTF_8));
                    }
                }
            }
        }
        return systems;
    }
}
