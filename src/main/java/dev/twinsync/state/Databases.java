package dev.twinsync.state;

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import dev.twinsync.InvalidSetting;
import javax.sql.DataSource;
import org.flywaydb.core.Flyway;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Primary;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DataSourceTransactionManager;
import org.springframework.jdbc.datasource.DriverManagerDataSource;
import org.springframework.jdbc.datasource.TransactionAwareDataSourceProxy;
import org.springframework.transaction.PlatformTransactionManager;
import org.springframework.transaction.support.TransactionTemplate;

/** The app's database and Twinsync's own, each with its pool and its transactions. */
@Configuration
class Databases {

    /**
     * Sets the clock that all instances share beyond all that was ever drawn from it: to the microseconds since 1970, of
     * which nobody draws as many as there are. A crash of the server takes back numbers that it had not flushed, of each
     * session at most the 32 between two records of its log; a restored backup has the clock of its day, and a schema
     * that was lost and made anew had none. What was read before would pass for newer than what is read after. Every
     * session begins after such a thing, and does this first. The 10,000 are for a server whose clock was set back.
     */
    private static final String CLOCK_ON = """
            do $$
            declare
              micros bigint := extract(epoch from clock_timestamp()) * 1000000;
            begin
              if to_regclass('sync.tick') is not null then
                perform pg_advisory_xact_lock(hashtextextended('twinsync/tick', 0));
                perform setval('sync.tick', greatest(micros, last_value + 10000)) from sync.tick;
              end if;
            end $$""";

    /** Sessions of this name only write the schema sync: capture need not wait for their transactions. */
    static final String STATE_SESSIONS = "twinsync-state";

    @Bean(destroyMethod = "close")
    HikariDataSource appPool(
            @Value("${twinsync.app.db.url}") String url,
            @Value("${twinsync.app.db.username}") String username,
            @Value("${twinsync.app.db.password}") String password,
            @Value("${twinsync.app.db.pool-size:8}") int size) {
        check("app", url, username, password);
        return new HikariDataSource(config("app", url, username, password, size, "twinsync"));
    }

    /** Joins the transaction of its thread, so that the flows of one delivery lock, compare and write in one. */
    @Bean
    DataSource appDataSource(@Qualifier("appPool") DataSource pool) {
        return new TransactionAwareDataSourceProxy(pool);
    }

    @Bean
    PlatformTransactionManager appTransactions(@Qualifier("appPool") DataSource pool) {
        return new DataSourceTransactionManager(pool);
    }

    @Bean(destroyMethod = "close")
    @Primary
    HikariDataSource syncDataSource(
            @Value("${twinsync.sync.db.url}") String url,
            @Value("${twinsync.sync.db.username}") String username,
            @Value("${twinsync.sync.db.password}") String password,
            @Value("${twinsync.sync.db.pool-size:16}") int size,
            @Value("${twinsync.app.db.url}") String appUrl,
            @Value("${twinsync.app.db.username}") String appUsername) {
        // where it is in the app's database, that is the setting to look at
        check(url.equals(appUrl) && username.equals(appUsername) ? "app" : "sync", url, username, password);
        HikariConfig config = config("sync", url, username, password, size, STATE_SESSIONS);
        config.setSchema("sync");
        config.setConnectionInitSql(config.getConnectionInitSql() + "; " + CLOCK_ON);
        return new HikariDataSource(config);
    }

    @Bean
    @Primary
    PlatformTransactionManager transactions(@Qualifier("syncDataSource") DataSource dataSource) {
        return new DataSourceTransactionManager(dataSource);
    }

    @Bean
    @Primary
    TransactionTemplate syncTransaction(@Qualifier("transactions") PlatformTransactionManager transactions) {
        return new TransactionTemplate(transactions);
    }

    /** The state's own template; nobody gets it before the schema is there. */
    @Bean
    @Primary
    JdbcTemplate syncJdbc(@Qualifier("syncDataSource") HikariDataSource dataSource) {
        Flyway.configure()
                .dataSource(unhurried(dataSource))
                .schemas("sync")
                .defaultSchema("sync")
                .locations("classpath:db/migration")
                .load()
                .migrate();
        JdbcTemplate jdbc = new JdbcTemplate(dataSource);
        // the session that made the clock began before it was there
        jdbc.execute(CLOCK_ON);
        return jdbc;
    }

    /** To build an index on very many rows takes longer than any statement of a flow may. */
    private static DataSource unhurried(HikariDataSource pool) {
        java.util.Properties properties = new java.util.Properties();
        properties.putAll(pool.getDataSourceProperties());
        properties.remove("socketTimeout");
        DriverManagerDataSource unhurried =
                new DriverManagerDataSource(pool.getJdbcUrl(), pool.getUsername(), pool.getPassword());
        unhurried.setConnectionProperties(properties);
        return unhurried;
    }

    /** Says which setting is wrong where the server can't be had; a pool would only say that it has no connection. */
    private static void check(String name, String url, String username, String password) {
        String settings = name.toUpperCase(java.util.Locale.ROOT) + "_DB_";
        java.util.Properties properties = new java.util.Properties();
        properties.setProperty("user", username);
        properties.setProperty("password", password);
        properties.setProperty("connectTimeout", "5");
        properties.setProperty("loginTimeout", "10");
        try (java.sql.Connection connection = java.sql.DriverManager.getConnection(url, properties)) {
            connection.isValid(5);
        } catch (java.sql.SQLException e) {
            String state = e.getSQLState() == null ? "" : e.getSQLState();
            String told = state.startsWith("28")
                    ? settings + "USERNAME, " + settings + "PASSWORD: the server does not let them in"
                    : state.equals("3D000")
                            ? settings + "URL: the server has no such database"
                            : settings + "URL: no PostgreSQL can be reached there";
            throw new InvalidSetting(told + " (" + e.getMessage() + ")", e);
        }
    }

    private static HikariConfig config(
            String name, String url, String username, String password, int size, String session) {
        HikariConfig config = new HikariConfig();
        config.setPoolName(name);
        config.setJdbcUrl(url);
        config.setUsername(username);
        config.setPassword(password);
        config.setMaximumPoolSize(size);
        config.setMinimumIdle(1);
        config.setConnectionTimeout(5_000);
        config.setValidationTimeout(2_000);
        config.setInitializationFailTimeout(10_000);
        // a row's digest is over its text: the same text whatever the zone of the instance that reads it
        // and a plan of its own for each execution: one that was kept from when a table was empty reads all of it for
        // every key once a first load has filled it
        // statements are short: to compile one, for what its plan looks as if it cost, takes longer than to run it
        config.setConnectionInitSql("set time zone 'UTC'; set plan_cache_mode = 'force_custom_plan'; set jit = off");
        config.addDataSourceProperty("ApplicationName", session);
        config.addDataSourceProperty("connectTimeout", "5");
        // a peer that vanished is noticed, and a statement never hangs a flow for good
        config.addDataSourceProperty("socketTimeout", "60");
        config.addDataSourceProperty("tcpKeepAlive", "true");
        config.addDataSourceProperty("prepareThreshold", "3");
        // the server's detail quotes the row, and with it what is personal, into logs, letters and health
        config.addDataSourceProperty("logServerErrorDetail", "false");
        return config;
    }
}
