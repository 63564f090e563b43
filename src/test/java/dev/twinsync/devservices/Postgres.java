package dev.twinsync.devservices;

import static org.awaitility.Awaitility.await;

import io.zonky.test.db.postgres.embedded.EmbeddedPostgres;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.awaitility.core.ConditionTimeoutException;
import org.springframework.util.FileSystemUtils;

/** A real PostgreSQL that keeps what it was told (fsync on) and whose log can be decoded (wal_level logical). */
public final class Postgres implements AutoCloseable {

    private final EmbeddedPostgres server;
    private final Path folder;

    private Postgres(EmbeddedPostgres server, Path folder) {
        this.server = server;
        this.folder = folder;
    }

    /** @param port 0 for any free one */
    public static Postgres start(int port) throws IOException, SQLException {
        return start(port, "512MB");
    }

    /** @param buffers {@code shared_buffers}; taken from the machine only as far as they are used */
    public static Postgres start(int port, String buffers) throws IOException, SQLException {
        Path folder = Path.of(System.getProperty("java.io.tmpdir"), "twinsync-postgres-" + (port == 0 ? "any" : port));
        if (port == 0) {
            folder = Files.createTempDirectory("twinsync-postgres");
        } else {
            endFormer(folder);
            try (ServerSocket socket = new ServerSocket()) {
                socket.setReuseAddress(true);
                socket.bind(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), port));
            } catch (IOException e) {
                // said at once: the server itself would be waited for, and never say why it does not come
                throw new IllegalStateException("port " + port
                        + " is taken: stop what listens there, or set APP_DB_URL to a database of yours");
            }
        }
        EmbeddedPostgres.Builder builder = EmbeddedPostgres.builder()
                .setDataDirectory(folder.resolve("data"))
                .setCleanDataDirectory(true)
                .setPGStartupWait(Duration.ofMinutes(1))
                .setServerConfig("wal_level", "logical")
                .setServerConfig("fsync", "on")
                .setServerConfig("synchronous_commit", "on")
                .setServerConfig("max_connections", "200")
                .setServerConfig("max_prepared_transactions", "10")
                .setServerConfig("shared_buffers", buffers)
                // or a bulk of changes makes a checkpoint every few seconds, and every page is logged whole again
                .setServerConfig("max_wal_size", "4GB")
                .setServerConfig("checkpoint_timeout", "15min")
                .setServerConfig("listen_addresses", "127.0.0.1");
        if (port != 0) {
            builder.setPort(port);
        }
        Postgres postgres = new Postgres(builder.start(), folder);
        postgres.execute("postgres", "create database app");
        // the embedded server is started with -F, which only a reload of its own file overrides
        String fsync = postgres.show("fsync");
        if (!fsync.equals("on")) {
            throw new IllegalStateException("fsync is " + fsync);
        }
        return postgres;
    }

    /** A run that was killed left its server behind: it is ended, or its port would be taken for ever. */
    private static void endFormer(Path folder) throws IOException {
        Path pidFile = folder.resolve("data").resolve("postmaster.pid");
        if (Files.exists(pidFile)) {
            List<String> lines = Files.readAllLines(pidFile, StandardCharsets.UTF_8);
            ProcessHandle.of(Long.parseLong(lines.get(0).strip())).ifPresent(process -> {
                if (process.info().command().orElse("").contains("postgres")) {
                    // its children outlive it for a moment, and would write into the next one's folder
                    List<ProcessHandle> children = process.children().toList();
                    process.destroyForcibly();
                    process.onExit().join();
                    children.forEach(child -> {
                        child.destroyForcibly();
                        child.onExit().join();
                    });
                }
            });
        }
        FileSystemUtils.deleteRecursively(folder);
    }

    public int port() {
        return server.getPort();
    }

    /** Ends all its processes at once, as {@code pg_ctl stop -m immediate} does: it recovers by its log. */
    public void stopAtOnce() throws IOException {
        ProcessHandle postmaster = postmaster();
        signal(postmaster, "QUIT");
        postmaster.onExit().join();
    }

    /** Starts it again, as it was started first. */
    public void startAgain() throws IOException {
        Path data = folder.resolve("data");
        String options = Files.readString(data.resolve("postmaster.opts")).strip();
        List<String> command = new ArrayList<>();
        if (System.getProperty("user.name").equals("root")) {
            // which it refuses to be run by
            command.addAll(List.of("unshare", "-U"));
        }
        command.add(options.substring(0, options.indexOf(' ')));
        Matcher option = Pattern.compile("\"([^\"]*)\"").matcher(options);
        while (option.find()) {
            command.add(option.group(1));
        }
        new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(folder.resolve("again.log").toFile())
                .start();
        try {
            await().atMost(Duration.ofSeconds(60))
                    .pollDelay(Duration.ZERO)
                    .pollInterval(Duration.ofMillis(50))
                    .ignoreExceptions()
                    .untilAsserted(() -> connect("postgres").close());
        } catch (ConditionTimeoutException e) {
            throw new IOException(Files.readString(folder.resolve("again.log")), e);
        }
    }

    /** SIGSTOP for all its processes: what is connected stays so, and is answered nothing. */
    public void freeze() throws IOException {
        signalAll("STOP");
    }

    /** SIGCONT. */
    public void thaw() throws IOException {
        signalAll("CONT");
    }

    private void signalAll(String signal) throws IOException {
        ProcessHandle postmaster = postmaster();
        // first of all the one that would make more of them
        signal(postmaster, signal);
        for (ProcessHandle child : postmaster.children().toList()) {
            signal(child, signal);
        }
    }

    private ProcessHandle postmaster() throws IOException {
        String pid = Files.readAllLines(folder.resolve("data").resolve("postmaster.pid"))
                .get(0)
                .strip();
        return ProcessHandle.of(Long.parseLong(pid)).orElseThrow();
    }

    private static void signal(ProcessHandle process, String signal) throws IOException {
        new ProcessBuilder("kill", "-" + signal, String.valueOf(process.pid()))
                .start()
                .onExit()
                .join();
    }

    public String url() {
        return url("app");
    }

    /** @param database one that {@link #createDatabase} made */
    public String url(String database) {
        return "jdbc:postgresql://127.0.0.1:" + server.getPort() + '/' + database;
    }

    /** Makes another database beside app. */
    public void createDatabase(String name) throws SQLException {
        execute("postgres", "create database " + name);
    }

    /** A further database with the reference app's tables, for a service of its own. */
    public void createApp(String database) throws SQLException, IOException {
        execute("postgres", "create database " + database);
        try (var schema = Postgres.class.getResourceAsStream("/devservices/app-db.sql")) {
            execute(database, new String(schema.readAllBytes(), StandardCharsets.UTF_8));
        }
    }

    /** Drops a database, whoever is connected to it, and the replication slots in it. */
    public void dropApp(String database) throws SQLException {
        execute(
                "postgres",
                "select pg_terminate_backend(active_pid) from pg_replication_slots where database = '" + database
                        + "' and active_pid is not null");
        execute(
                database,
                "do $$ begin perform pg_drop_replication_slot(slot_name) from pg_replication_slots "
                        + "where database = current_database(); end $$");
        execute("postgres", "drop database " + database + " with (force)");
    }

    /** Runs statements in the database app. */
    public void execute(String sql) throws SQLException {
        execute("app", sql);
    }

    /** Runs statements in another database. */
    public void execute(String database, String sql) throws SQLException {
        try (Connection connection = connect(database);
                Statement statement = connection.createStatement()) {
            statement.execute(sql);
        }
    }

    public Connection connect() throws SQLException {
        return connect("app");
    }

    public Connection connect(String database) throws SQLException {
        return DriverManager.getConnection(url(database), "postgres", "postgres");
    }

    private String show(String setting) throws SQLException {
        try (Connection connection = connect("postgres");
                Statement statement = connection.createStatement();
                var rows = statement.executeQuery("show " + setting)) {
            rows.next();
            return rows.getString(1);
        }
    }

    /** What the server has used of the processors so far, in all its processes; Linux alone tells. */
    public Duration cpu() throws IOException {
        Path data = folder.resolve("data");
        long postmaster = Long.parseLong(
                Files.readAllLines(data.resolve("postmaster.pid")).get(0).strip());
        long ticks = 0;
        try (var processes = ProcessHandle.of(postmaster).orElseThrow().children()) {
            // the postmaster's own and, once they have ended, its children's; then those that live
            ticks += ticks(postmaster, true);
            for (ProcessHandle child : processes.toList()) {
                ticks += ticks(child.pid(), false);
            }
        }
        return Duration.ofMillis(ticks * 10);
    }

    private static long ticks(long process, boolean withEnded) {
        try {
            String stat = Files.readString(Path.of("/proc/" + process + "/stat"));
            String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
            long own = Long.parseLong(fields[11]) + Long.parseLong(fields[12]);
            return withEnded ? own + Long.parseLong(fields[13]) + Long.parseLong(fields[14]) : own;
        } catch (IOException e) {
            // it has ended meanwhile
            return 0;
        }
    }

    /** The reference app's tables. */
    public void createAppTables() throws SQLException, IOException {
        createAppTables("app");
    }

    public void createAppTables(String database) throws SQLException, IOException {
        try (var schema = Postgres.class.getResourceAsStream("/devservices/app-db.sql")) {
            execute(database, new String(schema.readAllBytes(), StandardCharsets.UTF_8));
        }
    }

    @Override
    public void close() throws IOException {
        server.close();
        try (var files = Files.walk(folder)) {
            files.sorted(java.util.Comparator.reverseOrder())
                    .forEach(file -> file.toFile().delete());
        } catch (java.io.UncheckedIOException e) {
            // the server has removed it already
        }
    }
}
