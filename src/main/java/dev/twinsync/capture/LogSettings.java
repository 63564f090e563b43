package dev.twinsync.capture;

import dev.twinsync.capture.log.LogPosition;
import java.time.Duration;
import java.util.Locale;
import java.util.Properties;
import org.postgresql.Driver;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.stereotype.Component;

/** How the app database's log is read. */
@Component
class LogSettings {

    private final String url;
    private final String username;
    private final String password;
    private final String name;
    private final Duration interval;
    private final Duration heartbeat;
    private final int batch;

    LogSettings(
            @Value("${twinsync.app.db.url}") String url,
            @Value("${twinsync.app.db.username}") String username,
            @Value("${twinsync.app.db.password}") String password,
            @Value("${twinsync.capture.app.log.name}") String name,
            @Value("${twinsync.capture.app.log.interval}") Duration interval,
            @Value("${twinsync.capture.app.log.heartbeat}") Duration heartbeat,
            @Value("${twinsync.capture.app.log.batch}") int batch) {
        if (!name.matches("[a-z_][a-z0-9_]{0,40}")) {
            throw new IllegalArgumentException(
                    "twinsync.capture.app.log.name: lower-case letters, digits and _ are needed, at most 41");
        }
        this.url = url;
        this.username = username;
        this.password = password;
        this.name = name;
        this.interval = interval;
        this.heartbeat = heartbeat;
        this.batch = batch;
    }

    /** The slot, and the publication, of a flow: {@code twinsync_app_users} of log-app-users. */
    String slot(String flow) {
        return (name + flow.substring(flow.indexOf('-')))
                .replaceAll("[^A-Za-z0-9_]", "_")
                .toLowerCase(Locale.ROOT);
    }

    Properties engine(String flow, KeyColumns keys) {
        Properties engine = new Properties();
        engine.put("name", flow);
        engine.put("connector.class", "io.debezium.connector.postgresql.PostgresConnector");
        engine.put(LogPosition.FLOW, flow);
        engine.put("topic.prefix", flow);
        Properties where = Driver.parseURL(url, null);
        if (where == null) {
            throw new IllegalArgumentException("APP_DB_URL: jdbc:postgresql://host:port/database is needed");
        }
        hosts(engine, where);
        where.forEach((key, value) -> {
            if (!key.toString().startsWith("PG") && !key.equals("user") && !key.equals("password")) {
                engine.put("driver." + key, value);
            }
        });
        engine.put("database.user", username);
        engine.put("database.password", password);
        engine.put("plugin.name", "pgoutput");
        engine.put("slot.name", slot(flow));
        engine.put("slot.max.retries", "0");
        engine.put("publication.name", slot(flow));
        engine.put("publication.autocreate.mode", "disabled");
        // where a slot begins there is a first load, and the load reads by the same SQL
        engine.put("snapshot.mode", "no_data");
        engine.put(
                "table.include.list", pattern(keys.columns().keySet().stream().toList()));
        // records are read by their keys: of a row only the key is wanted, so that memory is bounded
        engine.put(
                "column.include.list",
                pattern(keys.columns().entrySet().stream()
                        .map(entry -> entry.getKey() + '.' + entry.getValue())
                        .toList()));
        engine.put("skipped.operations", "none");
        engine.put("tombstones.on.delete", "false");
        engine.put("provide.transaction.metadata", "false");
        engine.put("event.processing.failure.handling.mode", "fail");
        engine.put("poll.interval.ms", String.valueOf(interval.toMillis()));
        engine.put("max.batch.size", String.valueOf(batch));
        engine.put("max.queue.size", String.valueOf(2 * batch));
        engine.put("heartbeat.interval.ms", String.valueOf(heartbeat.toMillis()));
        // a message in the log, no table: it lets the slot move on while nothing changes in the tables; the engine
        // confirms commits, so it is one
        engine.put("heartbeat.action.query", "select pg_logical_emit_message(true, 'twinsync', '')");
        engine.put("message.prefix.include.list", "twinsync");
        engine.put("offset.storage", LogPosition.class.getName());
        engine.put("offset.flush.interval.ms", "1000");
        // the flow is started again as a whole, from where the slot stands
        engine.put("errors.max.retries", "0");
        return engine;
    }

    private static void hosts(Properties engine, Properties where) {
        String[] hosts = where.getProperty("PGHOST", "localhost").split(",");
        String[] ports = where.getProperty("PGPORT", "5432").split(",");
        StringBuilder all = new StringBuilder();
        for (int i = 0; i < hosts.length; i++) {
            all.append(i == 0 ? "" : ",").append(hosts[i]);
            if (i < hosts.length - 1) {
                all.append(':').append(ports[Math.min(i, ports.length - 1)]);
            }
        }
        engine.put("database.hostname", all.toString());
        engine.put("database.port", ports[ports.length - 1]);
        engine.put("database.dbname", where.getProperty("PGDBNAME"));
    }

    private static String pattern(java.util.List<String> names) {
        return String.join(",", names.stream().map(n -> n.replace(".", "\\.")).toList());
    }
}
