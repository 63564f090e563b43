package dev.twinsync.benchmark;

import static org.awaitility.Awaitility.await;

import dev.twinsync.devservices.Postgres;
import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import io.debezium.engine.format.Json;
import java.net.URI;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * The limit that the engine sets: what the log tells, a batch at a time, into a topic. It reads no record, joins no
 * items, shares no key among changes, and forgets where it was.
 */
final class BareLog implements AutoCloseable {

    private final Postgres postgres;
    private final String name;
    private final KafkaProducer<String, String> kafka;
    private final DebeziumEngine<ChangeEvent<String, String>> engine;
    private final ExecutorService thread = Executors.newSingleThreadExecutor();
    private final AtomicLong told = new AtomicLong();

    /** @param tables with their schema, separated by commas */
    BareLog(Postgres postgres, String brokers, String name, String tables, String topic) throws Exception {
        this.postgres = postgres;
        this.name = name;
        kafka = new KafkaProducer<>(
                Map.of(
                        "bootstrap.servers", brokers,
                        "acks", "all",
                        "linger.ms", "5",
                        "batch.size", "262144",
                        "compression.type", "snappy"),
                new StringSerializer(),
                new StringSerializer());
        URI url = URI.create(postgres.url().substring("jdbc:".length()));
        Properties settings = new Properties();
        settings.put("name", name);
        settings.put("connector.class", "io.debezium.connector.postgresql.PostgresConnector");
        settings.put("topic.prefix", name);
        settings.put("database.hostname", url.getHost());
        settings.put("database.port", String.valueOf(url.getPort()));
        settings.put("database.user", "postgres");
        settings.put("database.password", "postgres");
        settings.put("database.dbname", url.getPath().substring(1));
        settings.put("plugin.name", "pgoutput");
        settings.put("slot.name", name);
        settings.put("publication.name", name);
        settings.put("publication.autocreate.mode", "filtered");
        settings.put("table.include.list", tables);
        settings.put("snapshot.mode", "no_data");
        settings.put("tombstones.on.delete", "false");
        settings.put("offset.storage", "org.apache.kafka.connect.storage.MemoryOffsetBackingStore");
        settings.put("offset.flush.interval.ms", "1000");
        // as Twinsync has it
        settings.put("poll.interval.ms", "20");
        settings.put("max.batch.size", "8192");
        settings.put("max.queue.size", "16384");
        settings.put("key.converter.schemas.enable", "false");
        settings.put("value.converter.schemas.enable", "false");
        settings.put("converter.schemas.enable", "false");
        engine = DebeziumEngine.create(Json.class)
                .using(settings)
                .notifying((batch, committer) -> {
                    List<Future<?>> sent = new ArrayList<>();
                    for (ChangeEvent<String, String> event : batch) {
                        sent.add(kafka.send(new ProducerRecord<>(topic, event.key(), event.value())));
                    }
                    kafka.flush();
                    for (Future<?> one : sent) {
                        try {
                            one.get();
                        } catch (java.util.concurrent.ExecutionException e) {
                            throw new IllegalStateException(e);
                        }
                    }
                    for (ChangeEvent<String, String> event : batch) {
                        committer.markProcessed(event);
                    }
                    committer.markBatchFinished();
                    told.addAndGet(batch.size());
                })
                .build();
        thread.submit(engine);
        await().atMost(Duration.ofMinutes(1)).until(() -> {
            try (var connection = postgres.connect();
                    var statement = connection.createStatement();
                    var rows = statement.executeQuery(
                            "select count(*) from pg_replication_slots where active and slot_name = '" + name + "'")) {
                rows.next();
                return rows.getInt(1) == 1;
            }
        });
    }

    /** Changes that Kafka has so far. */
    long told() {
        return told.get();
    }

    @Override
    public void close() throws Exception {
        engine.close();
        thread.shutdown();
        thread.awaitTermination(30, TimeUnit.SECONDS);
        kafka.close();
        await().atMost(Duration.ofSeconds(30)).ignoreExceptions().until(() -> {
            postgres.execute("select pg_drop_replication_slot('" + name + "')");
            return true;
        });
        postgres.execute("drop publication " + name);
    }
}
