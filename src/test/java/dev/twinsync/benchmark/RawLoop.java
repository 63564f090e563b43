package dev.twinsync.benchmark;

import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.devservices.Postgres;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.Statement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * The limit that the machine sets: the same orders, read by the same SQL in one pass and posted to the same endpoint in
 * the same batches, as many at a time. It remembers nothing, compares nothing and would lose and repeat at will.
 */
final class RawLoop {

    static final int BATCH = 200;
    static final int PARALLEL = 4;

    private final Postgres postgres;
    private final MiniProgram mini;
    private final String sql;

    RawLoop(Postgres postgres, MiniProgram mini) throws IOException {
        this.postgres = postgres;
        this.mini = mini;
        // capture's own SQL, over all rows instead of a page of keys
        this.sql = Files.readString(Path.of("routes", "orders", "read-app-orders.sql"))
                .replace("where o.order_id = any (:?ids)", "");
    }

    private interface Row {
        void take(String id, String data) throws Exception;
    }

    private void read(Row row) throws Exception {
        try (Connection connection = postgres.connect()) {
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                statement.setFetchSize(2000);
                try (ResultSet rows = statement.executeQuery(sql)) {
                    while (rows.next()) {
                        row.take(rows.getString("id"), rows.getString("data"));
                    }
                }
            }
        }
    }

    /** Posts batches, {@link #PARALLEL} at a time. */
    private final class Posts implements AutoCloseable {
        private final HttpClient http = HttpClient.newHttpClient();
        private final ExecutorService calls = Executors.newFixedThreadPool(PARALLEL);
        private final Semaphore free = new Semaphore(PARALLEL);
        private final List<Future<?>> sent = new ArrayList<>();
        private StringBuilder body = new StringBuilder();
        private int count;

        void add(String id, String data) throws InterruptedException {
            body.append(count == 0 ? "{\"items\":[" : ",")
                    .append("{\"order_id\":\"")
                    .append(id)
                    .append("\",\"data\":")
                    .append(data)
                    .append('}');
            if (++count == BATCH) {
                post();
            }
        }

        private void post() throws InterruptedException {
            String batch = body.append("]}").toString();
            body = new StringBuilder(batch.length() + 1024);
            count = 0;
            free.acquire();
            sent.add(calls.submit(() -> {
                try {
                    HttpResponse<byte[]> answer = http.send(
                            HttpRequest.newBuilder(URI.create(mini.url() + "/sync_order_data/batch"))
                                    .header("Authorization", "Bearer mini-api-key")
                                    .header("Content-Type", "application/json")
                                    .POST(HttpRequest.BodyPublishers.ofString(batch))
                                    .build(),
                            HttpResponse.BodyHandlers.ofByteArray());
                    if (answer.statusCode() != 200) {
                        throw new IllegalStateException("HTTP " + answer.statusCode());
                    }
                } finally {
                    free.release();
                }
                return null;
            }));
        }

        @Override
        public void close() throws Exception {
            if (count > 0) {
                post();
            }
            for (Future<?> one : sent) {
                one.get();
            }
            calls.shutdown();
        }
    }

    /** Database to API. */
    Duration direct() throws Exception {
        long began = System.nanoTime();
        try (Posts posts = new Posts()) {
            read(posts::add);
        }
        return Duration.ofNanos(System.nanoTime() - began);
    }

    /** Database to a topic, and at the same time from the topic to the API. */
    Duration throughKafka(String brokers, String topic, int records) throws Exception {
        long began = System.nanoTime();
        ExecutorService reader = Executors.newSingleThreadExecutor();
        try (KafkaConsumer<String, byte[]> consumer = new KafkaConsumer<>(
                Map.of(
                        "bootstrap.servers", brokers,
                        "group.id", "raw-" + topic,
                        "auto.offset.reset", "earliest",
                        "enable.auto.commit", "false",
                        "max.poll.records", "1000"),
                new StringDeserializer(),
                new ByteArrayDeserializer())) {
            Future<?> written = reader.submit(() -> {
                try (KafkaProducer<String, byte[]> producer = new KafkaProducer<>(
                        Map.of(
                                "bootstrap.servers", brokers,
                                "acks", "all",
                                "linger.ms", "5",
                                "batch.size", "262144",
                                "compression.type", "lz4"),
                        new StringSerializer(),
                        new ByteArraySerializer())) {
                    read((id, data) ->
                            producer.send(new ProducerRecord<>(topic, id, data.getBytes(StandardCharsets.UTF_8))));
                }
                return null;
            });
            consumer.subscribe(List.of(topic));
            int seen = 0;
            try (Posts posts = new Posts()) {
                while (seen < records) {
                    for (ConsumerRecord<String, byte[]> record : consumer.poll(Duration.ofMillis(50))) {
                        posts.add(record.key(), new String(record.value(), StandardCharsets.UTF_8));
                        seen++;
                    }
                    consumer.commitAsync();
                }
            }
            written.get();
        } finally {
            reader.shutdown();
        }
        return Duration.ofNanos(System.nanoTime() - began);
    }
}
